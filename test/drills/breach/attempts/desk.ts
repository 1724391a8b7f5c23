/** What an attacker gets out of `desk`: tokens with its users' wishes, and what its app was told of a request. */
import { randomUUID } from 'node:crypto';
import { type ObtainedTokens, obtainTokens } from '../../../../authority/headless/index.ts';
import { CLIENT, SCOPES } from '../../../mesh/two-services.ts';
import { leaked, type Scene } from '../attacker/scene.ts';
import { USERS, type User } from '../breach-mesh.ts';

interface Wishes {
  readonly details?: readonly object[];
  readonly deferrable?: boolean;
}

/** Tokens under a consent of their own. */
export function tokensOf(scene: Scene, user: User, { details, deferrable }: Wishes = {}): Promise<ObtainedTokens> {
  return obtainTokens({
    issuer: scene.running.mesh.file.authority!.issuer,
    clientId: CLIENT.id,
    redirectUri: CLIENT.redirectUri,
    account: user,
    password: USERS[user],
    scopes: [...SCOPES],
    purpose: `drill ${randomUUID()}`,
    durationS: 3_600,
    ...(details === undefined ? {} : { details: JSON.stringify(details) }),
    ...(deferrable === undefined ? {} : { deferrable }),
  });
}

/** A field that the app of `desk` got with a request that came in with this token. */
export async function atDesk(
  scene: Scene,
  token: string,
  field: string,
  { path = '/leak', lines = [] }: { readonly path?: string; readonly lines?: readonly string[] } = {},
): Promise<string> {
  return leaked(await scene.enterDesk(path, [`Authorization: Bearer ${token}`, ...lines]), field);
}

export async function handleAtDesk(scene: Scene, token: string, path?: string): Promise<string> {
  const handle = await atDesk(scene, token, 'delegation-context', path === undefined ? {} : { path });
  return `Delegation-Context: ${handle}`;
}
