export { type DelegationView, delegationView } from './delegation-view.ts';
export { type LocalApi, type LocalApiOptions, startLocalApi } from './start-local-api.ts';
