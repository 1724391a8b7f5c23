/** The JSON Schemas of the parts' configurations, by part; loaded one at a time. */
import type { JsonSchema } from '../config/schema.ts';

export const PART_SCHEMAS = {
  ca: async (): Promise<JsonSchema> => (await import('../../ca/config.ts')).CA_SCHEMA,
  authority: async (): Promise<JsonSchema> => (await import('../../authority/config.ts')).AUTHORITY_SCHEMA,
  collector: async (): Promise<JsonSchema> => (await import('../../collector/config.ts')).COLLECTOR_SCHEMA,
  sidecar: async (): Promise<JsonSchema> => (await import('../../sidecar/config-schema.ts')).SIDECAR_SCHEMA,
  up: async (): Promise<JsonSchema> => (await import('../up/up-file.ts')).UP_SCHEMA,
} as const;
