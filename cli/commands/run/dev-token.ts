/**
 * `behalf dev token`: a user's access token for trying out an entry, by the real authorization code flow. The account signs in
 * with the password that the mesh's directory keeps for it, so this works for development accounts of a mesh of one's own only.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { obtainTokens } from '../../../authority/headless/index.ts';
import { BehalfError } from '../../../errors/index.ts';
import { defineCommand } from '../../command.ts';
import { readYaml } from '../../config/load-config.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { readMeshFile } from '../../mesh/mesh-file.ts';
import { requireAuthority } from '../../mesh/require-authority.ts';
import { nearestName } from '../../nearest.ts';
import { answer, say } from '../../output.ts';

/** What is read here of the authority's configuration, which its own schema has judged when the mesh started. */
interface AuthorityFile {
  readonly accounts: readonly { readonly name: string; readonly passwordFile?: string }[];
  readonly clients: readonly Client[];
}

interface Client {
  readonly id: string;
  readonly redirectUris: readonly string[];
  readonly scopes: readonly string[];
}

const DEFAULT_MINUTES = 60;
/** A consent lasts 1 minute to 30 days (`authority/`). */
const MAX_MINUTES = 43_200;

export const command = defineCommand({
  usage: 'dev token',
  summary: 'Obtain a user’s access token, for trying out an entry.',
  details:
    'Signs in as the account, consents as its user would, and prints the token alone on standard output:\n' +
    '    curl -H "Authorization: Bearer $(behalf dev token)" …\n' +
    'The consent and the token are real and on record. For accounts of the mesh’s own configuration only.',
  flags: {
    user: { type: 'string', value: 'ACCOUNT', description: 'Who signs in; the only account without it.' },
    client: { type: 'string', value: 'ID', description: 'The application that asks; the only client without it.' },
    scope: {
      type: 'string',
      multiple: true,
      value: 'SCOPE',
      description: 'A scope to grant; all that the client may ask for without it.',
    },
    purpose: { type: 'string', value: 'TEXT', description: 'What the user is told that it is for.' },
    details: {
      type: 'string',
      value: 'JSON',
      description: '`authorization_details` to grant (RFC 9396), such as payments; all of them are ticked.',
    },
    deferrable: {
      type: 'boolean',
      description: 'Also tick that work may be finished later, where the client may ask for it.',
    },
    minutes: {
      type: 'string',
      value: 'N',
      description: `How long the consent lasts, ${DEFAULT_MINUTES} minutes by default.`,
    },
    dir: DIR_FLAG,
  },
  positionals: [0, 0],
  async run(values) {
    const minutes = Number(values.minutes ?? DEFAULT_MINUTES);
    if (!Number.isSafeInteger(minutes) || minutes < 1 || minutes > MAX_MINUTES)
      throw wrong(`--minutes is not a number from 1 to ${MAX_MINUTES}`);
    const directory = resolve(directoryOf(values.dir));
    const { issuer } = requireAuthority(readMeshFile(directory));
    const file = readYaml(join(directory, 'config', 'authority.yaml')).tree as unknown as AuthorityFile;
    const account = pick(file.accounts, ({ name }) => name, values.user, 'account', '--user');
    const client = pick(file.clients, ({ id }) => id, values.client, 'client', '--client');
    if (account.passwordFile === undefined)
      throw new BehalfError('not_found', { account: account.name, why: 'its password is not kept here, only a hash' });
    const unknown = values.scope?.find((scope) => !client.scopes.includes(scope));
    if (unknown !== undefined)
      throw wrong(`${client.id} may not ask for ${unknown.slice(0, 64)}, only for ${client.scopes.join(' ')}`);
    const tokens = await obtainTokens({
      issuer,
      clientId: client.id,
      redirectUri: client.redirectUris[0]!,
      deferrable: values.deferrable === true,
      account: account.name,
      password: readFileSync(account.passwordFile, 'utf8').replace(/\r?\n$/, ''),
      scopes: values.scope ?? client.scopes,
      purpose: values.purpose ?? 'trying out',
      durationS: minutes * 60,
      ...(values.details === undefined ? {} : { details: values.details }),
    });
    const { accessToken, expiresIn, consentId, scopes } = tokens;
    if (values.json === true) {
      answer({ user: account.name, client: client.id, scopes, consent: consentId, expiresInS: expiresIn, accessToken });
    } else {
      // Beside the token, so that `$(behalf dev token)` is the token alone.
      process.stderr.write(
        `${account.name} grants ${client.id} ${scopes.join(' ') || 'nothing'} for ${minutes} min; consent ${consentId}\n`,
      );
      say(accessToken);
    }
    return 0;
  },
});

/** The one that is named, or the only one. @throws {BehalfError} `usage`, `not_found` */
function pick<T>(
  all: readonly T[],
  nameOf: (one: T) => string,
  wanted: string | undefined,
  what: string,
  flag: string,
): T {
  const names = all.map(nameOf);
  if (wanted !== undefined) {
    const found = all.find((one) => nameOf(one) === wanted);
    if (found !== undefined) return found;
    const meant = nearestName(wanted, names);
    throw wrong(`there is no ${what} ${wanted.slice(0, 64)}${meant === null ? '' : `; did you mean ${meant}?`}`);
  }
  if (all.length === 1) return all[0]!;
  throw all.length === 0
    ? new BehalfError('not_found', { why: `this mesh has no ${what}; add one under \`authority\` in behalf.yaml` })
    : wrong(`name one with ${flag}: ${names.slice(0, 10).join(' ')}`);
}

function wrong(why: string): BehalfError {
  return new BehalfError('usage', { command: 'dev token', why });
}
