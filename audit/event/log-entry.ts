/**
 * What of an event is public and stays, and what is a person's and can be erased (DESIGN section 7). The log's leaf holds the
 * public part and salted commitments of the rest, so that every proof still verifies after an erasure. Standard: commitments
 * are SHA-256 over a domain separator, 0x00, a 128-bit random salt and the value.
 */
import { hash } from 'node:crypto';
import { BehalfError } from '../../errors/index.ts';
import { createRandomPool } from '../../identity/random-pool.ts';
import type { Event, LogEntry, Personal } from '../../proto/behalf/audit/v1/audit.ts';
import { decodePersonal } from './decode-event.ts';
import { encodeEvent, encodeLogEntry, encodePersonal } from './encode-event.ts';

const SALT_BYTES = 16;
const random = createRandomPool();
const CHAIN_ID_BYTES = 16;
const ENTRY_VERSION = 1;
const EMPTY = Buffer.alloc(0);
const PERSONAL_DOMAIN = Buffer.from('behalf-personal-v1\0', 'ascii');
const CHAIN_DOMAIN = Buffer.from('behalf-chain-v1\0', 'ascii');

/** A fresh salt; one an event, never used twice, or equal people would show as equal commitments. */
export function newSalt(): Buffer {
  return random(SALT_BYTES);
}

/** An event parted in two. */
export interface PartedEvent {
  /** The encoded `LogEntry`. */
  readonly entry: Buffer;
  /** What is kept under the person's key, or null where the event is about no one: chain id (16 bytes or none), then `Personal`. */
  readonly secret: Buffer | null;
  /** Whose key. */
  readonly subject: string | null;
}

/**
 * Parts an event that `parseEvent` took. The chain's id goes with the person, since it is a hash of what names the person. It is
 * 16 bytes, so that its commitment binds as 2^64 work allows; the body's own signatures are what proves authorship.
 * @throws {BehalfError} `request_malformed` for a personal part without a salt or subject
 */
export function partEvent(reporter: string, event: Event): PartedEvent {
  const personal = personalOf(event);
  if (personal === null) return { entry: entryOf(reporter, event, EMPTY, EMPTY), secret: null, subject: null };
  if (personal.salt.length !== SALT_BYTES || personal.subject === '') {
    throw new BehalfError('request_malformed', { why: 'personal part without salt or subject' });
  }
  const encoded = encodePersonal(personal);
  const chainId = event.body === 'hop' ? event.hop.chainId : EMPTY;
  if (chainId.length !== 0 && chainId.length !== CHAIN_ID_BYTES)
    throw new BehalfError('request_malformed', { why: 'chain id' });
  const personalCommitment = commit(PERSONAL_DOMAIN, personal.salt, encoded);
  const chainCommitment = chainId.length === 0 ? EMPTY : commit(CHAIN_DOMAIN, personal.salt, chainId);
  return {
    entry: entryOf(reporter, withPersonal(event, null, EMPTY), personalCommitment, chainCommitment),
    secret: Buffer.concat([Buffer.of(chainId.length), chainId, encoded]),
    subject: personal.subject,
  };
}

/** Puts an event together again: the inverse of `partEvent` for the public event and its secret. */
export function joinEvent(publicEvent: Event, secret: Buffer | null): Event {
  if (secret === null) return publicEvent;
  const chainLength = secret[0] ?? 0;
  return withPersonal(
    publicEvent,
    decodePersonal(secret.subarray(1 + chainLength)),
    secret.subarray(1, 1 + chainLength),
  );
}

function entryOf(reporter: string, event: Event, personalCommitment: Buffer, chainCommitment: Buffer): Buffer {
  const entry: LogEntry = {
    version: ENTRY_VERSION,
    reporter,
    event: encodeEvent(event),
    personalCommitment,
    chainCommitment,
  };
  return encodeLogEntry(entry);
}

/** The personal part of an event of any kind. */
function personalOf(event: Event): Personal | null {
  if (event.body === 'hop') return event.hop.personal;
  if (event.body === 'consent') return event.consent.personal;
  if (event.body === 'evaluation') return event.evaluation.personal;
  return null;
}

function withPersonal(event: Event, personal: Personal | null, chainId: Buffer): Event {
  if (event.body === 'hop') return { ...event, hop: { ...event.hop, personal, chainId } };
  if (event.body === 'consent') return { ...event, consent: { ...event.consent, personal } };
  if (event.body === 'evaluation') return { ...event, evaluation: { ...event.evaluation, personal } };
  return event;
}

function commit(domain: Buffer, salt: Buffer, value: Buffer): Buffer {
  return hash('sha256', Buffer.concat([domain, salt, value]), 'buffer');
}
