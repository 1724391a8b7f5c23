/**
 * Runs one part as this process: log on standard error, the ready line on standard output, a clean end on SIGTERM, SIGINT or
 * when the parent that holds our IPC channel is gone. A part that ends by itself is a failure.
 */
import { type Logger, pino } from 'pino';
import { BehalfError, codeOf } from '../../errors/index.ts';
import type { ExitCode } from '../command.ts';

/** How long a part may take to end after it was asked to; then the process ends with exit code 1. */
const MAX_SHUTDOWN_MS = 10_000;

export interface StartedPart {
  /** Addresses and the like, as JSON. */
  readonly ready: object;
  /** Resolves when the part has ended, rejects when it broke. */
  readonly closed: Promise<void>;
}

export type StartPart<C> = (
  config: C,
  deps: { readonly log: Logger; readonly signal: AbortSignal },
) => Promise<StartedPart>;

export interface RunPart<C> {
  readonly part: string;
  readonly config: C;
  readonly level: string;
  readonly start: StartPart<C>;
}

/**
 * Runs the part until it is told to end.
 * @throws {BehalfError} what the part's start throws; system errors as `port_in_use` and `data_directory_unusable`
 */
export async function runPart<C>({ part, config, level, start }: RunPart<C>): Promise<ExitCode> {
  const log = pino({ level, base: { part, pid: process.pid } }, pino.destination({ dest: 2, sync: true }));
  const stop = new AbortController();
  const end = (why: string): void => {
    if (stop.signal.aborted) return;
    log.info({ why }, 'ending');
    stop.abort();
    // Unreferenced: a part that closes in time never waits for it.
    setTimeout(() => {
      log.error({ maxShutdownMs: MAX_SHUTDOWN_MS }, 'did not end in time');
      process.exit(1);
    }, MAX_SHUTDOWN_MS).unref();
  };
  process.on('SIGTERM', () => end('SIGTERM'));
  process.on('SIGINT', () => end('SIGINT'));
  if (process.channel !== undefined) process.on('disconnect', () => end('the parent process is gone'));
  process.on('uncaughtException', (error) => fatal(log, error));
  process.on('unhandledRejection', (error) => fatal(log, error));

  let started: StartedPart;
  try {
    started = await start(config, { log, signal: stop.signal });
  } catch (thrown) {
    const error = asRefusal(thrown);
    if (stop.signal.aborted) return leave(0);
    log.fatal({ err: error, code: codeOf(error) }, 'could not start');
    process.stdout.write(`${JSON.stringify({ ready: false, code: codeOf(error), message: error.message })}\n`);
    return leave(1);
  }
  process.stdout.write(`${JSON.stringify({ ready: true, part, pid: process.pid, ...started.ready })}\n`);
  try {
    await started.closed;
  } catch (error) {
    log.fatal({ err: error, code: codeOf(error) }, 'broke');
    return leave(1);
  }
  if (!stop.signal.aborted) {
    log.fatal('ended by itself');
    return leave(1);
  }
  log.info('ended');
  return leave(0);
}

/** A system error at start in our own words, so that the supervisor and a person see the same code. */
function asRefusal(thrown: unknown): Error {
  if (thrown instanceof BehalfError || !(thrown instanceof Error))
    return thrown instanceof Error ? thrown : new Error(String(thrown));
  const { code, path, syscall, address, port } = thrown as NodeJS.ErrnoException & { address?: string; port?: number };
  if (code === 'EADDRINUSE')
    return new BehalfError(
      'port_in_use',
      { address: `${address ?? ''}${port === undefined || port < 0 ? '' : `:${port}`}` },
      { cause: thrown },
    );
  if (['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'ENOTDIR'].includes(code ?? '') && syscall !== 'connect') {
    if (syscall === 'listen')
      return new BehalfError(
        'port_in_use',
        { address: `${address ?? ''}:${port ?? ''}`, why: 'not allowed to listen there' },
        { cause: thrown },
      );
    return new BehalfError('data_directory_unusable', { path: path ?? '', why: code ?? '' }, { cause: thrown });
  }
  return thrown;
}

function fatal(log: Logger, error: unknown): never {
  log.fatal({ err: error, code: codeOf(error) }, 'something failed that nobody caught');
  process.exit(1);
}

/** Ends the process even if something is still open: what mattered is closed, and an orphan would be worse. */
function leave(code: ExitCode): ExitCode {
  process.exitCode = code;
  process.removeAllListeners('disconnect');
  setTimeout(() => process.exit(code), 500).unref();
  process.disconnect?.();
  return code;
}
