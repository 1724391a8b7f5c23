/** The `openssl` command, as the other implementation that tests compare with. Where it is not installed they are skipped. */
import { execFileSync } from 'node:child_process';

/** Runs it in a directory and gives what it printed; throws if it fails. */
export function runOpenssl(directory: string, ...args: string[]): string {
  return execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

/** Whether it is there; where not, says once what is skipped and how to have it. */
export function hasOpenssl(): boolean {
  try {
    runOpenssl('/', 'version');
    return true;
  } catch {
    process.stderr.write(
      'openssl is not installed: tests that compare with it are skipped (apt-get install openssl)\n',
    );
    return false;
  }
}
