export type { SpoolBatch, SpoolIo } from './segment-file.ts';
export { type Durability, openSpool, type Spool, type SpoolCursor, type SpoolOptions } from './spool.ts';
