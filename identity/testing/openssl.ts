/** The `openssl` command, as the other implementation that tests compare with. Where it is not installed they are skipped. */
import { execFileSync } from 'node:child_process';

/** Runs it in a directory and gives what it printed; throws if it fails. */
export function runOpenssl(directory: string, ...args: string[]): string {
  return execFileSync('openssl', args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'] }).toString();
}

export function hasOpenssl(): boolean {
  try {
    runOpenssl('/', 'version');
    return true;
  } catch {
    return false;
  }
}
