/** `behalf contain`: one command for the worst day. Stops what was lost, then tells what it was used for. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BehalfError } from '../../../errors/index.ts';
import { parseSpiffeId } from '../../../identity/index.ts';
import { defineCommand } from '../../command.ts';
import { collectEvents } from '../../contain/collect.ts';
import { drawRadius } from '../../contain/draw-radius.ts';
import { radiusSvg } from '../../contain/draw-radius-svg.ts';
import { type Notice, noticesOf } from '../../contain/notices.ts';
import { type BlastRadius, blastRadius, serialOf } from '../../contain/radius.ts';
import { liftBan, type TakenBack, takeBack } from '../../contain/take-back.ts';
import { BANNABLE, oneTarget, parseSince, type Target, type TargetKind } from '../../contain/target.ts';
import { type Style, styleFor } from '../../draw/style.ts';
import { count } from '../../draw/words.ts';
import { accountNames, connectQuery, pseudonymOf } from '../../hops/query.ts';
import { DIR_FLAG, directoryOf } from '../../mesh/dir-flag.ts';
import { asOperator, type Operator } from '../../mesh/operator.ts';
import { respond } from '../../output.ts';

const DEFAULT_SINCE = '24h';
const DEFAULT_REASON = 'contained by an operator';

export const command = defineCommand({
  usage: 'contain',
  summary:
    'Stop a workload, certificate, user, client, consent, key, transaction or deferred work everywhere, and show what it touched.',
  details: `
Revokes through the signed live state, so that every sidecar refuses within a second and running streams end; then reads
from the record what the credential was used for: the blast radius.

A clean replacement lives: a workload may attest anew, a user sign in again. With --ban it may not, until --lift.

  behalf contain --workload spiffe://shop.example/orders --reason "key in a core dump" --ban
  behalf contain --user ada --since 7d --dry-run
  behalf contain --kid KEY --svg radius.svg --notify`,
  flags: {
    workload: { type: 'string', value: 'ID', description: 'SPIFFE ID, or the name of a service of this mesh.' },
    cert: { type: 'string', value: 'SERIAL', description: 'One certificate, by its serial in hexadecimal.' },
    user: {
      type: 'string',
      value: 'NAME',
      description: 'Account, or a pseudonym `u:…`: ends every session and token.',
    },
    client: { type: 'string', value: 'ID', description: 'OAuth client: ends every token that any user gave it.' },
    consent: { type: 'string', value: 'ID', description: 'One consent, for good.' },
    kid: { type: 'string', value: 'KID', description: 'Key that signs roots (it is replaced at once) or WITs.' },
    txn: { type: 'string', value: 'TXN', description: 'One transaction: what one root started.' },
    deferred: {
      type: 'string',
      value: 'ID',
      description: 'Work that was put off: what was made of it, and what would be.',
    },
    reason: { type: 'string', value: 'TEXT', description: 'Why; goes on record and into notices.' },
    since: {
      type: 'string',
      value: 'TIME',
      description: `How far back to look: \`30m\`, \`24h\`, \`7d\` or a time; ${DEFAULT_SINCE} by default.`,
    },
    'dry-run': { type: 'boolean', description: 'Show the blast radius and revoke nothing.' },
    ban: { type: 'boolean', description: 'Issue nothing new either, to this workload, user or client.' },
    lift: { type: 'boolean', description: 'Lift a ban instead. What was revoked stays revoked.' },
    notify: { type: 'boolean', description: 'Write a mail text and a security event for each affected user.' },
    notices: {
      type: 'string',
      value: 'DIR',
      description: 'Where --notify writes; a new folder of the mesh by default.',
    },
    svg: { type: 'string', value: 'FILE', description: 'Draw the blast radius into this file.' },
    dir: DIR_FLAG,
  },
  positionals: [0, 0],
  async run(values) {
    const { kind, given } = oneTarget(values);
    const ban = values.ban === true;
    const lift = values.lift === true;
    const dryRun = values['dry-run'] === true;
    checkFlags(kind, { ban, lift, dryRun, notices: values.notices !== undefined && values.notify !== true });
    const untilUs = Date.now() * 1_000;
    const sinceUs = parseSince(values.since ?? DEFAULT_SINCE, untilUs);
    const directory = directoryOf(values.dir);
    const style = styleFor(process.stdout, values['no-color']);
    return asOperator(directory, async (operator) => {
      const target = await resolveTarget(operator, kind, given);
      if (lift) {
        await liftBan(operator, target);
        return respond(values.json, { lifted: target }, () => [`the ban of ${kind} ${target.label} is lifted`]);
      }
      const reason = values.reason ?? DEFAULT_REASON;
      // First stop it, then look: what it does while we read is not to be had.
      const takenBack = dryRun ? null : await takeBack(operator, target, { reason, ban });
      const { events, window } = await collectEvents(connectQuery(operator), target, sinceUs, Date.now() * 1_000);
      const radius = blastRadius(target, events, window);
      const names = await namesOf(operator);
      if (values.svg !== undefined) writeFileSync(values.svg, radiusSvg(target, radius), { mode: 0o600 });
      const notices =
        values.notify === true
          ? writeNotices(values.notices ?? noticesFolder(directory), operator, { target, radius, reason, names })
          : null;
      return respond(
        values.json,
        { target, dryRun, revoked: takenBack, radius: radiusJson(radius, names), notices, svg: values.svg ?? null },
        () => [
          ...(takenBack === null
            ? [style.dim('dry run: nothing is revoked')]
            : drawTakenBack(target, takenBack, reason, style)),
          '',
          ...drawRadius(target, radius, style, (subject) => nameIn(names, subject)),
          ...(notices === null ? [] : ['', `${count(notices.users, 'notice')} in ${notices.folder}`]),
          ...(values.svg === undefined ? [] : ['', `drawn into ${values.svg}`]),
        ],
      );
    });
  },
});

function checkFlags(
  kind: TargetKind,
  { ban, lift, dryRun, notices }: { ban: boolean; lift: boolean; dryRun: boolean; notices: boolean },
): void {
  const wrong = (why: string): BehalfError => new BehalfError('usage', { command: 'contain', why });
  if ((ban || lift) && !BANNABLE.includes(kind))
    throw wrong(`--ban and --lift are for ${BANNABLE.map((one) => `--${one}`).join(', ')}`);
  if ((ban && lift) || (dryRun && (ban || lift))) throw wrong('--dry-run, --ban and --lift exclude each other');
  if (notices) throw wrong('--notices says where --notify writes');
}

/** As the record has it. @throws {BehalfError} `not_found`, `spiffe_id_invalid`, `usage` */
async function resolveTarget(operator: Operator, kind: TargetKind, given: string): Promise<Target> {
  if (kind === 'workload') {
    const named = operator.mesh.services.find(({ name }) => name === given);
    return { kind, value: named?.id ?? parseSpiffeId(given), label: given };
  }
  if (kind === 'user') {
    const subject = given.startsWith('u:') ? given : await pseudonymOf(operator, given);
    if (subject === null) throw new BehalfError('not_found', { why: 'this mesh has no authority, and so no users' });
    return { kind, value: subject, label: given };
  }
  if (kind === 'cert') {
    const serial = given.toLowerCase().replaceAll(':', '');
    if (!/^[0-9a-f]{1,40}$/.test(serial) || serialOf(serial) === '')
      throw new BehalfError('usage', { command: 'contain', why: '--cert is a serial in hexadecimal' });
    return { kind, value: serial, label: serial };
  }
  return { kind, value: given, label: given };
}

/** Names are the authority's to give; without them pseudonyms do. */
async function namesOf(operator: Operator): Promise<ReadonlyMap<string, string>> {
  try {
    return await accountNames(operator);
  } catch (error) {
    if (error instanceof BehalfError) return new Map();
    throw error;
  }
}

function nameIn(names: ReadonlyMap<string, string>, subject: string): string {
  const name = names.get(subject);
  return name === undefined ? subject : `${name} (${subject})`;
}

function radiusJson({ users, ...radius }: BlastRadius, names: ReadonlyMap<string, string>): object {
  return { ...radius, users: users.map((user) => ({ ...user, name: names.get(user.subject) ?? null })) };
}

function drawTakenBack(target: Target, done: TakenBack, reason: string, style: Style): string[] {
  const source = done.source === 'ca' ? 'the CA’s' : 'the authority’s';
  return [
    `${style.bold('Contained')}: ${target.kind} ${style.name(target.label)} is revoked as entry ${done.number} of ${source} live state (${reason})`,
    ...(done.grantsEnded === 0 ? [] : [`${count(done.grantsEnded, 'grant')} ended with all tokens`]),
    ...(done.nextKid === null
      ? []
      : [`${done.source === 'ca' ? 'WITs' : 'roots'} are signed with ${done.nextKid} from now on`]),
    ...(done.banned ? ['banned: nothing new is issued until `--lift`'] : []),
  ];
}

function noticesFolder(directory: string): string {
  const when = new Date().toISOString().replaceAll(/[:.]/g, '-');
  return join(directory, 'notices', when);
}

/** A user's two files side by side. They name people: only their owner reads them. */
function writeNotices(
  folder: string,
  operator: Operator,
  facts: { target: Target; radius: BlastRadius; reason: string; names: ReadonlyMap<string, string> },
): { folder: string; users: number } {
  const notices: Notice[] = noticesOf({
    ...facts,
    issuer: operator.mesh.authority?.issuer ?? null,
    nowS: Math.floor(Date.now() / 1000),
    nameOf: (subject) => facts.names.get(subject) ?? null,
    newId: () => randomBytes(16).toString('base64url'),
  });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const { name, mail, event } of notices) {
    writeFileSync(join(folder, `${name}.txt`), mail, { mode: 0o600 });
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(event, null, 2)}\n`, { mode: 0o600 });
  }
  return { folder, users: notices.length };
}
