/**
 * `behalf.yaml`, what `behalf up` starts on one machine: where each service of the policy runs, and who may sign in. Names,
 * SPIFFE IDs, calls and routes are the policy folder's; this file adds only what is about this machine.
 */

export interface UpService {
  /** `host:port` where the service listens; absent where `command` is given, which is then told a port. */
  readonly app?: string;
  readonly protocol?: 'http1' | 'h2c';
  /** A listener for requests from outside, which bring a user's access token: on a free loopback port, or on this one. */
  readonly entry?: boolean | string;
  /** Name of the service that requests from outside go on to, instead of the own app. */
  readonly forward?: string;
  /** Lets calls of the service find their request by the trace id of `traceparent` alone. */
  readonly traceId?: boolean;
  /** Program and arguments, run by `behalf up`. */
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Run the program as this user, and let only it use the sidecar's local ports. Needs root. */
  readonly uid?: number;
}

export interface UpFile {
  /** The policy folder. */
  readonly policy: string;
  readonly services: Readonly<Record<string, UpService>>;
  /** Goes into the authority's configuration: development accounts and clients (`dev-accounts.ts`). */
  readonly authority?: object;
}

/** JSON Schema (draft 07) of `UpFile`. */
export const UP_SCHEMA = {
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Behalf on one machine',
  type: 'object',
  additionalProperties: false,
  required: ['policy', 'services'],
  properties: {
    policy: {
      type: 'string',
      minLength: 1,
      description: 'The policy folder: mesh.yaml, OpenAPI documents, Cedar policies. Relative to this file.',
    },
    services: {
      type: 'object',
      description: 'Where each service of the policy’s mesh.yaml runs, by its name there.',
      additionalProperties: {
        type: 'object',
        additionalProperties: false,
        properties: {
          app: { type: 'string', pattern: '^.+:[0-9]{1,5}$', description: 'Where the service listens, `host:port`.' },
          protocol: {
            type: 'string',
            enum: ['http1', 'h2c'],
            description: 'What it speaks; gRPC services speak `h2c`.',
          },
          entry: {
            type: ['boolean', 'string'],
            pattern: '^127\\.0\\.0\\.1:[1-9][0-9]{0,4}$',
            description:
              'Whether requests from outside come in here: `true` for a free port, or the port to use, `127.0.0.1:PORT`.',
          },
          forward: { type: 'string', description: 'Name of the service that requests from outside go on to.' },
          traceId: {
            type: 'boolean',
            description:
              'Whether calls of the service may find their request by the trace id of `traceparent` alone, the weakest way; off without it.',
          },
          command: {
            type: 'array',
            minItems: 1,
            items: { type: 'string' },
            description:
              'Program and arguments to run, in the folder of this file. It is told PORT, where to listen; for each service that it calls <NAME>_URL; BEHALF_LOCAL_API_URL; and BEHALF_PORTS, all local ports of its sidecar. `node` is the one that runs Behalf.',
          },
          environment: {
            type: 'object',
            additionalProperties: { type: 'string' },
            description: 'Further environment of the program.',
          },
          uid: {
            type: 'integer',
            minimum: 1,
            maximum: 4_294_967_294,
            description: 'User to run the program as; needs root.',
          },
        },
      },
    },
    authority: {
      type: 'object',
      description:
        'Accounts and clients: further members of the authority’s configuration. An account without a password gets one.',
    },
  },
} as const;
