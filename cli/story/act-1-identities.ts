/** Act 1: who is there, from the record of what the certificate authority issued. */

import { lifetime } from '../draw/words.ts';
import { shortSerial } from '../hops/draw-hops.ts';
import { columns } from '../output.ts';
import { eventsOfKind, type Stage, untilRecorded } from './stage.ts';

export async function tellIdentities(stage: Stage): Promise<void> {
  const { tell, mesh, demo } = stage;
  tell.act(1, 'Who is there');
  tell.prose(
    'Every part and every sidecar has shown the certificate authority who it is and got a short-lived certificate.',
    'Its key was made where it is used and has never left.',
    '',
  );
  const expected = mesh.file.services.map(({ id }) => id);
  const issued = await untilRecorded(async () => {
    const events = (await eventsOfKind(stage, 'issuance', 'issuance', 0)).filter(
      ({ issuance }) => issuance.code === '',
    );
    return expected.every((id) => events.some(({ issuance }) => issuance.spiffeId === id)) ? events : null;
  });
  const rows = (issued ?? []).map(({ issuance, timeUs }) => [
    issuance.spiffeId,
    issuance.attestor.replaceAll('_', ' '),
    lifetime(Math.round((issuance.notAfterS - timeUs / 1e6) / 60) * 60),
    shortSerial(issuance.serial),
  ]);
  for (const line of columns([['SPIFFE ID', 'SHOWN BY', 'LASTS', 'SERIAL'], ...rows])) tell.line(line);
  tell.line('');
  tell.check(
    issued !== null,
    `${expected.length} services have an identity of their own, and each issuance is in the log`,
  );
  if (demo.guard.on)
    tell.check(true, 'each service runs as a user of its own, and only it may use its sidecar’s local ports');
  else tell.prose(`The guard of local ports is off: ${demo.guard.why}. Any process here could use them.`);
}
