export { readLogFolder } from './read-folder.ts';
export {
  type Difference,
  type InclusionVerdict,
  type LogCopy,
  type LogFolder,
  type LogVerdict,
  verifyEntries,
  verifyLog,
} from './verify-log.ts';
