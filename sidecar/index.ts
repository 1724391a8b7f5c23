/** The sidecar: terminates and originates mutual TLS, attaches and checks delegations, decides, reports (DESIGN section 4). */
export { SIDECAR_SCHEMA, type SidecarConfig } from './config.ts';
export { type RunningSidecar, type SidecarReady, startSidecar } from './start.ts';
