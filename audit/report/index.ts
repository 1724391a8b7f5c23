export { newSalt } from '../event/index.ts';
export { openReporter, openReporterOver, type Reporter, type ReporterOptions, type ReporterState } from './reporter.ts';
