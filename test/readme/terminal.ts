/** A newcomer's terminal: a shell in a folder, to which lines are typed, and whose Ctrl-C reaches what runs in it. */
import { spawn } from 'node:child_process';

export interface Terminal {
  /** Types lines; resolves with what they printed, on either output, when they have ended. */
  run(commands: string): Promise<string>;
  /** Types lines that do not end by themselves. */
  start(commands: string): void;
  /** All that was printed so far. */
  printed(): string;
  /** Ctrl-C: SIGINT to every process of the terminal. Resolves when none is left; kills what will not go. */
  interrupt(): Promise<void>;
}

const KILL_AFTER_MS = 20_000;

/** Opens a terminal that knows of our own environment only where programs are. */
export function openTerminal(cwd: string): Terminal {
  const shell = spawn('/bin/sh', ['-c', 'exec 2>&1; while IFS= read -r line; do eval "$line" </dev/null; done'], {
    cwd,
    env: environment(),
    detached: true,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of waiting) look();
  };
  shell.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString('utf8');
    wake();
  });
  let closed = false;
  const gone = new Promise<void>((resolve) => {
    shell.once('close', () => {
      closed = true;
      resolve();
      wake();
    });
  });
  // Whoever types into a shell that has ended learns of it by what it did not print.
  shell.stdin.on('error', () => {});
  let marks = 0;
  return {
    async run(commands) {
      const mark = `::done ${++marks}::`;
      const from = text.length;
      shell.stdin.write(`${commands}\nprintf '\\n%s\\n' '${mark}'\n`);
      await new Promise<void>((resolve) => {
        const look = (): void => {
          if (!closed && !text.includes(`\n${mark}\n`, from)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
      return text.slice(from).split(`\n${mark}\n`)[0]!;
    },
    start: (commands) => void shell.stdin.write(`${commands}\n`),
    printed: () => text,
    async interrupt() {
      shell.stdin.end();
      signalGroup(shell.pid!, 'SIGINT');
      const timer = setTimeout(() => signalGroup(shell.pid!, 'SIGKILL'), KILL_AFTER_MS);
      await gone;
      clearTimeout(timer);
    },
  };
}

function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // The group is gone already.
  }
}

/** Nothing of npm's and vitest's, which a newcomer's terminal has not; npm asks no registry. */
function environment(): Record<string, string> {
  const path = (process.env['PATH'] ?? '').split(':').filter((folder) => !folder.includes('node_modules'));
  const kept = ['HOME', 'TMPDIR', 'LANG'].flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]]],
  );
  return {
    ...Object.fromEntries(kept),
    PATH: path.join(':'),
    npm_config_offline: 'true',
    npm_config_update_notifier: 'false',
  };
}
