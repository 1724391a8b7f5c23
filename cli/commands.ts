/** The commands by name: a line for the overview, and where each one's module is. */
import type { Command } from './command.ts';

interface Listed {
  readonly summary: string;
  load(): Promise<{ readonly command: Command }>;
}

export const COMMANDS = {
  up: {
    summary: 'Start a mesh on this machine and keep it up; `--demo` tells its story.',
    load: () => import('./commands/run/up.ts'),
  },
  'dev pair': {
    summary: 'Start a mesh of two sidecars around a server of yours.',
    load: () => import('./commands/run/dev-pair.ts'),
  },
  'dev token': {
    summary: 'Obtain a user’s access token, for trying out an entry.',
    load: () => import('./commands/run/dev-token.ts'),
  },
  hops: {
    summary: 'Show calls: who called whom, on whose behalf, and what was decided.',
    load: () => import('./commands/look/hops.ts'),
  },
  explain: {
    summary: 'Tell why a call was allowed or refused, and what to do.',
    load: () => import('./commands/look/explain.ts'),
  },
  'chain show': {
    summary: 'Tell in words on whose authority a call ran, or a pasted chain would.',
    load: () => import('./commands/look/chain-show.ts'),
  },
  'chain verify': {
    summary: 'Verify a chain in hand, on record or in a test vector, each check as a line.',
    load: () => import('./commands/look/chain-verify.ts'),
  },
  'chain diff': {
    summary: 'Tell what differs between two chains.',
    load: () => import('./commands/look/chain-diff.ts'),
  },
  'log verify': {
    summary: 'Check the log offline: checkpoint, tiles and history.',
    load: () => import('./commands/look/log-verify.ts'),
  },
  'log proof': {
    summary: 'Fetch and check the proof that a hop is in the log.',
    load: () => import('./commands/look/log-proof.ts'),
  },
  'consent list': { summary: 'List what users have granted.', load: () => import('./commands/change/consent-list.ts') },
  'consent revoke': {
    summary: 'Withdraw a consent at once, everywhere.',
    load: () => import('./commands/change/consent-revoke.ts'),
  },
  'deferred list': { summary: 'List work that was put off.', load: () => import('./commands/change/deferred-list.ts') },
  'deferred cancel': {
    summary: 'End work that was put off, everywhere.',
    load: () => import('./commands/change/deferred-cancel.ts'),
  },
  contain: {
    summary: 'Stop a workload, user, client, consent or key everywhere, and show what it touched.',
    load: () => import('./commands/change/contain.ts'),
  },
  'svid show': {
    summary: 'Show a certificate or stored identity in words.',
    load: () => import('./commands/look/svid-show.ts'),
  },
  'entry create': {
    summary: 'Register a workload with the CA.',
    load: () => import('./commands/change/entry-create.ts'),
  },
  'entry list': { summary: 'List registered workloads.', load: () => import('./commands/change/entry-list.ts') },
  'token create': {
    summary: 'Make a one-time join token for a workload.',
    load: () => import('./commands/change/token-create.ts'),
  },
  'policy check': {
    summary: 'Judge a policy folder offline: what is in it, or what is wrong and where.',
    load: () => import('./commands/look/policy-check.ts'),
  },
  'check context': {
    summary: 'Run an app and say whether and how it passes context on.',
    load: () => import('./commands/look/check-context.ts'),
  },
  'snapshot put': {
    summary: 'Sign a policy snapshot and put it live.',
    load: () => import('./commands/change/snapshot-put.ts'),
  },
  'ca init': {
    summary: 'Make a certificate authority: root, issuing intermediate, bundle.',
    load: () => import('./commands/run/ca-init.ts'),
  },
  ca: { summary: 'Run the certificate authority.', load: () => import('./commands/run/ca.ts') },
  authority: { summary: 'Run the authorization server.', load: () => import('./commands/run/authority.ts') },
  collector: { summary: 'Run the decision and audit collector.', load: () => import('./commands/run/collector.ts') },
  sidecar: { summary: 'Run a sidecar.', load: () => import('./commands/run/sidecar.ts') },
  'config schema': {
    summary: 'Print the JSON Schema of a part’s configuration, for editors.',
    load: () => import('./commands/look/config-schema.ts'),
  },
} as const satisfies Record<string, Listed>;

export type CommandName = keyof typeof COMMANDS;

export function isCommandName(name: string): name is CommandName {
  return Object.hasOwn(COMMANDS, name);
}
