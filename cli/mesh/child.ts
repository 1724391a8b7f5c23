/**
 * One child process of the supervisor: started, waited for until it says that it is ready, watched, and ended without being
 * left behind. Parts of the mesh end when our IPC channel to them closes; other programs are bound to us by the kernel
 * (`setpriv --pdeathsig`) where that is there.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants, createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { BehalfError, isErrorCode } from '../../errors/index.ts';

/** How long a part may take from its start to its ready line: two meshes starting on a busy machine of two cores need 40 s. */
const START_TIMEOUT_MS = 120_000;
/** How long a child may take to end after SIGTERM; then it is killed. */
const STOP_TIMEOUT_MS = 12_000;
/** Lines of a child's log that are kept for the message when it dies. */
const KEPT_LINES = 24;
const MAX_LINE_CHARS = 2_000;
const SETPRIV = '/usr/bin/setpriv';

export interface ChildSpec {
  /** Names the child in messages, such as `collector` or `orders (sidecar)`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** The whole environment: nothing is inherited. */
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Whether it is a part of ours: has an IPC channel and prints a ready line. Others count as ready once `isReady` says so. */
  readonly isReady: 'ready-line' | (() => Promise<boolean>);
  /** Runs it as another user; needs root. */
  readonly uid?: number;
  readonly cwd?: string;
}

export interface Child {
  readonly spec: ChildSpec;
  readonly pid: number;
  /** What its ready line said; empty for other programs. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Resolves when it has ended, however that came. Never rejects. */
  readonly exited: Promise<ChildExit>;
  /** SIGTERM, a bounded wait, SIGKILL. Resolves when the process is gone. */
  stop(): Promise<ChildExit>;
  /** Sends a signal: for drills, and for tests of what the others do then. */
  kill(signal: NodeJS.Signals): void;
}

export interface ChildExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Whether it ended because it was asked to, by `stop` or `kill`. */
  readonly asked: boolean;
  readonly lastLines: readonly string[];
}

/**
 * Starts a child and waits until it is ready; `signal` gives up the waiting and ends it.
 * @throws {BehalfError} the code that the child gave for not starting, else `process_died` with its last lines
 */
export async function startChild(spec: ChildSpec, signal: AbortSignal): Promise<Child> {
  const isPart = spec.isReady === 'ready-line';
  const [command, args] = isPart ? [spec.command, spec.args] : boundToUs(spec.command, spec.args);
  const process = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe', ...(isPart ? (['ipc'] as const) : [])],
    env: spec.environment,
    ...(spec.uid === undefined ? {} : { uid: spec.uid, gid: spec.uid }),
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
  });
  const lines: string[] = [];
  let asked = false;
  const { firstLine, written } = follow(process, spec, lines);
  const exited = new Promise<ChildExit>((resolve) => {
    process.once('error', (error) => {
      lines.push(error.message);
      if (process.pid === undefined) resolve({ code: null, signal: null, asked, lastLines: lines });
    });
    process.once(
      'close',
      (code, signal) => void written.then(() => resolve({ code, signal, asked, lastLines: lines })),
    );
  });
  const stop = async (): Promise<ChildExit> => {
    asked = true;
    if (process.exitCode === null && process.signalCode === null) process.kill('SIGTERM');
    const timer = setTimeout(() => process.kill('SIGKILL'), STOP_TIMEOUT_MS);
    const exit = await exited;
    clearTimeout(timer);
    return exit;
  };

  const giveUp = (): void => {
    asked = true;
    process.kill('SIGTERM');
  };
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    const ready = await untilReady(spec, firstLine, exited);
    return {
      spec,
      pid: process.pid!,
      ready,
      exited,
      stop,
      kill: (signal) => {
        asked = true;
        process.kill(signal);
      },
    };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

/** What a child's unasked end means for a person: its log file, and those of its last lines that tell of trouble. */
export function diedError({ name, logFile }: Pick<ChildSpec, 'name' | 'logFile'>, exit: ChildExit): BehalfError {
  const how = exit.signal === null ? `exit code ${exit.code ?? 'unknown'}` : `signal ${exit.signal}`;
  const lines = exit.lastLines.filter((line) => !isRoutine(line)).map((line) => `    ${line}`);
  return new BehalfError('process_died', {
    process: name,
    how,
    log: logFile,
    ...(lines.length === 0 ? {} : { lastLines: `\n${lines.join('\n')}\n` }),
  });
}

/** Whether a line only tells what went well: a part's ready line, or a log line below `warn` (pino's 40). */
function isRoutine(line: string): boolean {
  if (!line.startsWith('{')) return false;
  try {
    const { ready, level } = JSON.parse(line) as { readonly ready?: unknown; readonly level?: unknown };
    return ready === true || (typeof level === 'number' && level < 40);
  } catch {
    return false; // a program's own text, or cut off
  }
}

async function untilReady(
  spec: ChildSpec,
  firstLine: Promise<string>,
  exited: Promise<ChildExit>,
): Promise<Record<string, unknown>> {
  const died = exited.then((exit) => {
    throw diedError(spec, exit);
  });
  died.catch(() => {});
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () =>
      reject(
        new BehalfError('process_died', {
          process: spec.name,
          how: `not ready within ${START_TIMEOUT_MS / 1000} s`,
          log: spec.logFile,
        }),
      ),
    START_TIMEOUT_MS,
  );
  try {
    if (spec.isReady !== 'ready-line') {
      const { isReady } = spec;
      await Promise.race([poll(isReady, exited), died, late]);
      return {};
    }
    const line = await Promise.race([firstLine, died, late]);
    return await readReadyLine(spec, line, exited);
  } finally {
    clearTimeout(timer);
  }
}

async function readReadyLine(
  spec: ChildSpec,
  line: string,
  exited: Promise<ChildExit>,
): Promise<Record<string, unknown>> {
  let facts: Record<string, unknown> = {};
  try {
    facts = JSON.parse(line) as Record<string, unknown>;
  } catch {
    // Not a ready line at all: treated as one that says no, with the log's last lines.
  }
  if (facts['ready'] === true) return facts;
  const code = String(facts['code'] ?? '');
  if (isErrorCode(code) && code !== 'internal')
    throw new BehalfError(code, { process: spec.name, said: String(facts['message'] ?? '').slice(0, 500) });
  throw diedError(spec, await exited);
}

async function poll(isReady: () => Promise<boolean>, exited: Promise<ChildExit>): Promise<void> {
  let over = false;
  void exited.then(() => {
    over = true;
  });
  while (!over && !(await isReady())) await new Promise((resolve) => setTimeout(resolve, 25));
}

/**
 * Copies both outputs into the log file, keeps the last lines, and gives the first line of standard output. `written` resolves
 * once the log file has everything.
 */
function follow(
  process: ChildProcess,
  spec: ChildSpec,
  lines: string[],
): { firstLine: Promise<string>; written: Promise<void> } {
  const file = createWriteStream(spec.logFile, { flags: 'a', mode: 0o600 });
  // A full disk must not end the mesh by an unhandled error; the parts themselves say so then.
  const { promise: written, resolve: allWritten } = Promise.withResolvers<void>();
  file.on('error', () => allWritten());
  process.once('close', () => file.end(allWritten));
  const { promise: firstLine, resolve } = Promise.withResolvers<string>();
  for (const stream of [process.stdout!, process.stderr!]) {
    const reader = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
    reader.on('line', (line) => {
      file.write(`${line}\n`);
      if (stream === process.stdout) resolve(line);
      lines.push(line.slice(0, MAX_LINE_CHARS));
      if (lines.length > KEPT_LINES) lines.shift();
    });
    stream.on('error', () => {});
  }
  return { firstLine, written };
}

/** A program that knows nothing of us is ended by the kernel when we are, where Debian's `setpriv` is there. */
function boundToUs(command: string, args: readonly string[]): [string, readonly string[]] {
  if (process.platform !== 'linux') return [command, args];
  try {
    accessSync(SETPRIV, constants.X_OK);
    return [SETPRIV, ['--pdeathsig', 'SIGKILL', '--', command, ...args]];
  } catch {
    return [command, args];
  }
}
