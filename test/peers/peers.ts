/**
 * The apps of `examples/context/` made ready to run, with what they need kept in a folder of its own: an interpreter that is here, a
 * virtual environment, a built binary. What cannot be had is said with its reason, never skipped without a word. Packages are
 * fetched once, within a bound; neither `npm test` nor `npm start` needs them.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const EXAMPLES = root('examples/context');
const CACHE = root('node_modules/.cache/behalf-peers');
/** A registry that has not served everything by then counts as not there. */
const FETCH_MS = 45_000;

/** A program, ready to be told its ports. */
export interface PeerApp {
  readonly command: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export type Availability =
  | { readonly kind: 'ready'; readonly app: PeerApp }
  | { readonly kind: 'unavailable'; readonly why: string };

const HOOK = root('propagate/register.ts');
const OTEL = join(EXAMPLES, 'node/otel.ts');
const OTEL_TRACE = join(EXAMPLES, 'node/otel-trace.ts');
const PLAIN = join(EXAMPLES, 'node/plain.ts');

/** Each way in which an app passes context on, by the name of its example. */
export const PEERS = {
  'node-copy': () => node([join(EXAMPLES, 'node/header-copy.ts')]),
  'node-hook': () => node(['--import', HOOK, PLAIN]),
  'node-otel': () => node(['--import', OTEL, PLAIN]),
  'node-trace': () => node(['--import', OTEL_TRACE, PLAIN]),
  'python-copy': () => python('header_copy.py'),
  'python-otel': () => pythonWithPackages('otel_baggage.py'),
  'go-copy': () => go('headercopy'),
  'go-otel': () => go('otelbaggage'),
} as const satisfies Record<string, () => Promise<Availability>>;

export type PeerName = keyof typeof PEERS;
export const PEER_NAMES = Object.keys(PEERS) as PeerName[];

/** Those that are here; the others are said to standard error. */
export async function readyPeers(names: readonly PeerName[] = PEER_NAMES): Promise<ReadonlyMap<PeerName, PeerApp>> {
  const ready = new Map<PeerName, PeerApp>();
  for (const name of names) {
    const found = await PEERS[name]();
    if (found.kind === 'ready') ready.set(name, found.app);
    else process.stderr.write(`not available: ${name}: ${found.why}\n`);
  }
  return ready;
}

async function node(args: readonly string[]): Promise<Availability> {
  return { kind: 'ready', app: { command: process.execPath, args, environment: {} } };
}

/** The interpreter itself, not what a version manager puts before it. */
async function interpreter(): Promise<string> {
  const { stdout } = await run('python3', ['-c', 'import sys; print(sys.executable)'], { timeout: 10_000 });
  return stdout.trim();
}

function pythonApp(command: string, file: string): Availability {
  return {
    kind: 'ready',
    app: { command, args: ['-B', join(EXAMPLES, 'python', file)], environment: { PYTHONDONTWRITEBYTECODE: '1' } },
  };
}

async function python(file: string): Promise<Availability> {
  try {
    return pythonApp(await interpreter(), file);
  } catch (error) {
    return unavailable('no python3', error);
  }
}

async function pythonWithPackages(file: string): Promise<Availability> {
  const requirements = join(EXAMPLES, 'python/requirements.txt');
  const kept = join(CACHE, `python-packages-${digestOf([requirements])}`);
  const command = join(kept, 'bin/python3');
  if (existsSync(kept)) return pythonApp(command, file);
  // Of its own, as another run may be making it too; an environment finds its packages wherever it stands.
  const made = `${kept}.${process.pid}`;
  try {
    const found = await interpreter();
    mkdirSync(CACHE, { recursive: true });
    await run(found, ['-m', 'venv', made], { timeout: FETCH_MS });
    const install = ['-m', 'pip', 'install', '--quiet', '--retries', '0', '--timeout', '10', '-r', requirements];
    await run(join(made, 'bin/python3'), install, { timeout: FETCH_MS });
    keep(made, kept);
    return pythonApp(command, file);
  } catch (error) {
    return unavailable('its packages could not be had', error);
  } finally {
    rmSync(made, { recursive: true, force: true });
  }
}

async function go(folder: string): Promise<Availability> {
  const source = join(EXAMPLES, 'go', folder);
  const files = readdirSync(source).sort();
  const kept = join(CACHE, `go-${folder}-${digestOf(files.map((file) => join(source, file)))}`);
  if (existsSync(kept)) return { kind: 'ready', app: { command: kept, args: [], environment: {} } };
  const made = `${kept}.${process.pid}`;
  try {
    mkdirSync(CACHE, { recursive: true });
    const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly' };
    await run('go', ['build', '-o', made, '.'], { cwd: source, timeout: FETCH_MS, env });
    keep(made, kept);
    return { kind: 'ready', app: { command: kept, args: [], environment: {} } };
  } catch (error) {
    return unavailable('no go, or its modules could not be had', error);
  } finally {
    rmSync(made, { force: true });
  }
}

/** One that another run has put there meanwhile is as good. */
function keep(made: string, kept: string): void {
  try {
    renameSync(made, kept);
  } catch (error) {
    if (!existsSync(kept)) throw error;
  }
}

function digestOf(files: readonly string[]): string {
  const digest = createHash('sha256');
  for (const file of files) digest.update(readFileSync(file));
  return digest.digest('hex').slice(0, 16);
}

function unavailable(what: string, error: unknown): Availability {
  const line = String((error as { stderr?: string }).stderr || (error as Error).message)
    .trim()
    .split('\n')
    .at(-1);
  return { kind: 'unavailable', why: `${what} (${line ?? ''})` };
}
