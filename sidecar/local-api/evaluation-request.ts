/**
 * Reads the body of an AuthZEN access evaluation (OpenID AuthZEN Authorization API 1.0, section 6). Stricter: names once, no
 * text but integers for numbers, since Cedar has no others; and no subject but the delegation's own, as an app decides for
 * the user whose request it serves and for nobody else.
 */
import { BehalfError } from '../../errors/index.ts';
import {
  isJsonObject,
  JsonDefect,
  type JsonObject,
  type JsonValue,
  readStrictJson,
} from '../../identity/strict-json.ts';
import type { AppResource } from '../../policy/index.ts';

export interface EvaluationRequest {
  readonly action: string;
  readonly resource: AppResource;
}

/** Deep enough for properties of properties; `decideResource` has a limit of its own for what it hands to Cedar. */
const JSON_LIMITS = { maxDepth: 8, maxMembers: 128 };

/**
 * Reads a body on behalf of `subject`, the delegation's.
 * @throws {BehalfError} `request_malformed`, with the member at fault
 */
export function parseEvaluationRequest(body: Buffer, subject: string): EvaluationRequest {
  const json = readStrictJson(body, JSON_LIMITS);
  if (json instanceof JsonDefect) throw malformed('body', json.why);
  const { subject: asked, action, resource } = objectOf(json, 'body');
  if (asked !== undefined) checkSubject(objectOf(asked, 'subject'), subject);
  const { type, id, properties } = objectOf(resource, 'resource');
  return {
    action: textOf(objectOf(action, 'action')['name'], 'action.name'),
    resource: {
      type: textOf(type, 'resource.type'),
      id: textOf(id, 'resource.id'),
      attributes: properties === undefined ? {} : objectOf(properties, 'resource.properties'),
    },
  };
}

function checkSubject({ type, id }: JsonObject, subject: string): void {
  textOf(type, 'subject.type');
  if (textOf(id, 'subject.id') !== subject) throw malformed('subject.id', 'is not the subject of the delegation');
}

function objectOf(value: JsonValue | undefined, member: string): JsonObject {
  if (!isJsonObject(value)) throw malformed(member, 'is not an object');
  return value;
}

function textOf(value: JsonValue | undefined, member: string): string {
  if (typeof value !== 'string' || value === '') throw malformed(member, 'is not a text');
  return value;
}

function malformed(member: string, why: string): BehalfError {
  return new BehalfError('request_malformed', { member, why });
}
