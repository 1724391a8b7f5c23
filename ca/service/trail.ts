/** Where this authority puts its events on record: the reporter, which every other part has too. */
import type { EventBody } from '../../proto/behalf/audit/v1/audit.ts';

export interface Trail {
  /** Resolves once the event survives this process. @throws {BehalfError} `audit_unavailable` */
  record(event: EventBody): Promise<void>;
}
