/**
 * The demo shop as data, for who runs it: its services with how each is started, and the files of its policy. Services run as
 * they stand here, by Node's own type stripping; nothing of them is imported.
 */
import { fileURLToPath } from 'node:url';

/** Addresses that a service is given. Peers by name, as `http://host:port`. */
export interface DemoPorts {
  /** `host:port` that it is to listen on. */
  readonly listen: string;
  /** `host:port` of its sidecar's local API. */
  readonly localApi: string;
  readonly peers: Readonly<Record<string, string>>;
}

export interface DemoProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export interface DemoService {
  readonly name: string;
  readonly id: string;
  readonly protocol: 'http1' | 'h2c';
  /** Names of the services that it calls. */
  readonly calls: readonly string[];
  /** Whether users' requests come in here. */
  readonly entry: boolean;
  /** How its calls find their request: by its own hand, by the runtime hook, or it makes none. */
  readonly context: 'by hand' | 'runtime hook' | 'calls nobody';
  program(ports: DemoPorts): DemoProgram;
}

export const DEMO_TRUST_DOMAIN = 'shop.example';
/** A workload without a program, for measuring: it may obtain roots and call harmless methods of payments. */
export const DEMO_PROBE = { name: 'probe', id: `spiffe://${DEMO_TRUST_DOMAIN}/probe` } as const;
/** What the demo user consents to. `payments:refund` is in the catalogue too, and never granted. */
export const DEMO_SCOPES = ['orders:read', 'orders:write', 'payments:charge'] as const;

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const HOOK = here('../propagate/register.ts');

export const DEMO_SERVICES: readonly DemoService[] = [
  {
    ...named('storefront'),
    protocol: 'http1',
    calls: ['orders', 'inventory'],
    entry: true,
    context: 'by hand',
    program: ({ listen, peers }) =>
      node([here('storefront/storefront.ts')], {
        PORT: portOf(listen),
        ORDERS_URL: peers['orders'] ?? '',
        INVENTORY_URL: peers['inventory'] ?? '',
      }),
  },
  {
    ...named('orders'),
    protocol: 'http1',
    calls: ['payments'],
    entry: false,
    context: 'runtime hook',
    program: ({ listen, peers }) =>
      node(['--import', HOOK, here('orders/orders.ts')], {
        PORT: portOf(listen),
        PAYMENTS_ADDRESS: hostAndPort(peers['payments']),
      }),
  },
  {
    ...named('payments'),
    protocol: 'h2c',
    calls: [],
    entry: false,
    context: 'calls nobody',
    program: ({ listen, localApi }) =>
      node([here('payments/payments.ts')], { PORT: portOf(listen), DELEGATION_API: `http://${localApi}` }),
  },
  {
    ...named('inventory'),
    protocol: 'http1',
    calls: ['payments'],
    entry: false,
    context: 'by hand',
    program: ({ listen, peers }) =>
      node([here('inventory/inventory.ts')], {
        PORT: portOf(listen),
        PAYMENTS_ADDRESS: hostAndPort(peers['payments']),
      }),
  },
];

/** The demo's policy folder; its `mesh.yaml` names the contracts that stand beside the services. */
export const DEMO_POLICY_FOLDER = here('policy');

function named(name: string): { name: string; id: string } {
  return { name, id: `spiffe://${DEMO_TRUST_DOMAIN}/${name}` };
}

function node(args: readonly string[], environment: Readonly<Record<string, string>>): DemoProgram {
  return { command: process.execPath, args, environment };
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(':') + 1);
}

function hostAndPort(url: string | undefined): string {
  return (url ?? '').replace(/^http:\/\//, '');
}
