export { openReporter, type Reporter, type ReporterOptions, type ReporterState } from './reporter.ts';
