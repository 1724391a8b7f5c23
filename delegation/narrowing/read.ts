/** Reading the two claims that narrow, the same way in roots and links. */
import { type JsonObject, type Refusal, readArray, readText, refuse } from '../../identity/jws.ts';
import { isDetail } from '../details/read-details.ts';
import type { AuthorizationDetail } from '../root/root-claims.ts';
import { parseScope } from './scope.ts';

/** `scope` as a list. @throws {BehalfError} `refusal.code` */
export function readScope(object: JsonObject, refusal: Refusal): readonly string[] {
  const scope = parseScope(readText(object, 'scope', refusal));
  return scope ?? refuse(refusal, '`scope` is no list of scope tokens, each once, with one space between');
}

/** `authorization_details`: objects with a `type`. @throws {BehalfError} `refusal.code` */
export function readDetails(object: JsonObject, refusal: Refusal): readonly AuthorizationDetail[] {
  const details: AuthorizationDetail[] = [];
  for (const entry of readArray(object, 'authorization_details', refusal)) {
    if (!isDetail(entry)) return refuse(refusal, 'an entry of `authorization_details` has no `type`');
    details.push(entry);
  }
  return details;
}
