export { startWorkloadApi, type WorkloadApi, type WorkloadApiOptions } from './start-workload-api.ts';
