/** What a person may try while the demo stays up. A new token is obtained, since the story's consent was withdrawn. */
import { relative } from 'node:path';
import { columns } from '../output.ts';
import { consentOf } from './act-2-consent.ts';
import type { Stage } from './stage.ts';

/** Hops that have been told about: one that was allowed and, where there is one, one that was refused. */
export interface ToldHops {
  readonly allowed: string;
  readonly refused: string | null;
}

export async function tellWhatToTry(stage: Stage, hops: ToldHops): Promise<void> {
  const { tell, mesh, demo, service } = stage;
  const { accessToken } = await consentOf(stage, demo.users.demo);
  const tokenFile = mesh.dir.write('demo-token', accessToken);
  const folder = shortPath(mesh.dir.path);
  const shown = shortPath(tokenFile);
  const { authority, collector, ca } = mesh.file;
  const entry = service('storefront').entry!;
  const directory = folder === '.behalf' ? '' : ` --dir ${folder}`;
  tell.line(
    '',
    tell.style.bold('It stays up until Ctrl-C. Try, in another terminal:'),
    '',
    `curl -H "Authorization: Bearer $(cat ${shown})" -d '{"item":"lamp","amount":4900}' -H 'content-type: application/json' ${entry}/orders`,
    `curl -H "Authorization: Bearer $(cat ${shown})" ${entry}/orders`,
    `curl -i -H 'Delegation-Subject: u:anyone' ${entry}/orders`,
    `curl -k https://${service('payments').mesh}/`,
    '',
    `npx behalf hops --user demo${directory}`,
    `npx behalf hops --last${directory}`,
    `npx behalf chain show ${hops.allowed}${directory}`,
    ...(hops.refused === null ? [] : [`npx behalf explain ${hops.refused}${directory}`]),
    `${directory === '' ? '' : `BEHALF_DIR=${folder} `}npx behalf log verify`,
    `npx behalf consent list${directory}`,
    `npx behalf consent revoke --user demo${directory}`,
    '',
  );
  const rows = [
    ['authority', authority!.issuer],
    ['its keys', authority!.jwksUri],
    ['certificate authority', ca.address],
    ['collector', collector.address],
    ...mesh.file.services.map(({ name, entry: own, mesh: port, app }) => [
      name,
      `${app ?? ''}  mTLS ${port}${own === null ? '' : `  entry ${own}`}`,
    ]),
    ['logs of each process', `${folder}/log`],
  ];
  for (const line of columns(rows)) tell.line(line);
  tell.prose(`Sign in at the authority as demo with the password in ${folder}/accounts/demo.`);
}

/** Relative where it is within the working directory. */
function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short === '' || short.startsWith('..') ? path : short;
}
