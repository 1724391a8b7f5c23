/** The user of `behalf dev pair`: an account and a client at the authority, and a token by the real flow. */
import { randomBytes } from 'node:crypto';
import { obtainTokens } from '../../authority/headless/index.ts';
import type { MeshFile } from '../mesh/mesh-file.ts';
import type { StateDir } from '../mesh/state-dir.ts';
import { PAIR_SCOPES } from './pair-plan.ts';

const CLIENT = { id: 'dev-client', name: 'Pair workbench', redirectUri: 'http://127.0.0.1/callback' } as const;
const ACCOUNT = 'dev';
const HOUR_S = 3600;

export interface PairUser {
  /** Members of the authority's configuration. */
  readonly authority: object;
  /** A user's access token, good for an hour, by authorization code and PKCE. */
  obtainToken(mesh: MeshFile): Promise<string>;
}

/** An account with a new password, which stands in a file of the mesh's directory alone. */
export function makePairUser(dir: StateDir): PairUser {
  const password = randomBytes(18).toString('base64url');
  const passwordFile = dir.write('accounts/dev', password);
  return {
    authority: {
      accessTokenTtlS: HOUR_S,
      accounts: [{ name: ACCOUNT, passwordFile }],
      clients: [
        {
          id: CLIENT.id,
          name: CLIENT.name,
          redirectUris: [CLIENT.redirectUri],
          scopes: [...PAIR_SCOPES],
          owner: 'dev',
          reason: 'behalf dev pair',
        },
      ],
    },
    obtainToken: async ({ authority }) => {
      const { accessToken } = await obtainTokens({
        issuer: authority!.issuer,
        clientId: CLIENT.id,
        redirectUri: CLIENT.redirectUri,
        account: ACCOUNT,
        password,
        scopes: PAIR_SCOPES,
        purpose: 'trying out a server behind two sidecars',
        durationS: HOUR_S,
      });
      return accessToken;
    },
  };
}
