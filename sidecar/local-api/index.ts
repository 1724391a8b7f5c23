export { type LocalApi, startLocalApi } from './start-local-api.ts';
