/** `behalf dev pair`: two sidecars around a server of yours, for benchmarks, outside test suites and first steps (DESIGN section 11). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BehalfError } from '../../../errors/index.ts';
import { openIdentity } from '../../../identity/own/index.ts';
import { defineCommand } from '../../command.ts';
import { writeIdentityFiles } from '../../dev/identity-files.ts';
import { PAIR_IDS, pairPlan } from '../../dev/pair-plan.ts';
import type { MeshFile } from '../../mesh/mesh-file.ts';
import { openMeshLog } from '../../mesh/mesh-log.ts';
import { type Mesh, startMesh } from '../../mesh/start-mesh.ts';
import { MESH_FILE, takeStateDir, writeStateFile } from '../../mesh/state-dir.ts';
import { listenForStop, unlessStopped } from '../../mesh/until-stopped.ts';
import { answer, say } from '../../output.ts';

const UPSTREAM = /^(?:[a-z0-9.-]+|\[[0-9a-f:]+\]):([0-9]{1,5})$/i;

export const command = defineCommand({
  usage: 'dev pair --upstream HOST:PORT',
  summary:
    'Start a certificate authority, an authority, a collector and two sidecars on free loopback ports around a server of yours.',
  details:
    'Prints one line of JSON with `local` (the app-side port of the first sidecar; calls without a context run on its own authority),\n' +
    '`entry` (its entry listener, which wants `Authorization: Bearer <token>`), `mtls` (the second sidecar’s port), `dir` (files of a third\n' +
    'workload that may call) and `token` (a user’s access token, good for an hour). Runs until SIGTERM; then nothing is left.',
  flags: {
    upstream: { type: 'string', value: 'HOST:PORT', description: 'The server behind the second sidecar.' },
    protocol: { type: 'string', value: 'http1|h2c', description: 'What it speaks, http1 by default.' },
    mode: {
      type: 'string',
      value: 'full|mtls',
      description: '`mtls`: mutual TLS and the record alone, no delegations.',
    },
    ttl: { type: 'string', value: 'SECONDS', description: 'Life of certificates, for trying out renewal.' },
    dir: {
      type: 'string',
      value: 'DIR',
      description: 'Keep the state in this directory; a temporary one is removed at the end.',
    },
  },
  positionals: [0, 0],
  async run(values) {
    const { mode = 'full', protocol = 'http1', upstream } = values;
    if (upstream === undefined || Number(UPSTREAM.exec(upstream)?.[1] ?? 0) < 1)
      throw wrong('--upstream is not HOST:PORT');
    if (mode !== 'full' && mode !== 'mtls') throw wrong('--mode is full or mtls');
    if (protocol !== 'http1' && protocol !== 'h2c') throw wrong('--protocol is http1 or h2c');
    const ttlS = values.ttl === undefined ? undefined : Number(values.ttl);
    if (ttlS !== undefined && !(Number.isSafeInteger(ttlS) && ttlS > 0))
      throw wrong('--ttl is not a number of seconds');

    const stop = listenForStop();
    const folder = values.dir ?? mkdtempSync(join(tmpdir(), 'behalf-pair-'));
    const dir = takeStateDir(folder, { fresh: true });
    const removeFolder = (): void => {
      if (values.dir === undefined) rmSync(folder, { recursive: true, force: true });
    };
    const user = mode === 'full' ? (await import('../../dev/pair-user.ts')).makePairUser(dir) : null;
    const certificateTtl = ttlS === undefined ? {} : { certificateTtlS: ttlS };
    const plan = pairPlan({ upstream, protocol, mode, authority: user?.authority ?? {}, ...certificateTtl });
    const progress = (what: string) => process.stderr.write(`starting ${what}\n`);
    const starting = startMesh({ plan, dir, log: openMeshLog(dir), signal: stop.signal, progress });
    const mesh = await unlessStopped(stop, starting).catch((error: unknown) => {
      removeFolder();
      throw error;
    });
    if (mesh === null) {
      removeFolder();
      return 1;
    }
    try {
      const files = await benchFiles(mesh);
      const token = user === null ? null : await user.obtainToken(mesh.file);
      const [near, far] = mesh.file.services as [MeshFile['services'][number], MeshFile['services'][number]];
      const facts = { ready: true, local: near.peers['far']!, entry: near.entry, mtls: far.mesh, dir: files, token };
      if (values.json === true) answer(facts);
      else say(...Object.entries(facts).map(([name, value]) => `${name.padEnd(6)} ${value}`), 'Ctrl-C ends it.');
      await Promise.race([stop.asked, mesh.children.died]);
      return 0;
    } finally {
      await mesh.stop();
      removeFolder();
    }
  },
});

/** The third workload's files. Its SVID is not renewed: it lasts for as long as the CA gives, an hour at least by default. */
async function benchFiles(mesh: Mesh): Promise<string> {
  const folder = mesh.dir.folder('bench');
  const joinTokenFile = await mesh.joinTokenFor('bench', PAIR_IDS.bench);
  const stopped = new AbortController();
  const identity = await openIdentity({
    trust: { caAddress: mesh.file.ca.address, bundleFile: mesh.file.bundleFile, attest: { joinTokenFile } },
    dataDir: mesh.dir.folder('bench', 'identity'),
    log: openMeshLog(mesh.dir),
    signal: stopped.signal,
  });
  writeIdentityFiles(folder, identity.current(), identity.bundle());
  await identity.close();
  stopped.abort();
  writeStateFile(folder, MESH_FILE, `${JSON.stringify({ ...mesh.file, bench: { id: PAIR_IDS.bench } }, null, 2)}\n`);
  return folder;
}

function wrong(why: string): BehalfError {
  return new BehalfError('usage', { command: 'dev pair', why });
}
