export { startLocalApi } from './start-local-api.ts';
