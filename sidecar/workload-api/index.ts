export { startWorkloadApi } from './start-workload-api.ts';
