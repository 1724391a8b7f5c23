/** Programs of Debian's packages that tests run against: installed where we may, else a clear word on what to install. */
import { execFileSync, spawnSync } from 'node:child_process';

/**
 * Makes sure that a program is there and returns its path.
 * @throws Error that names the package, where it is missing and this process may not install it
 */
export function debianProgram(program: string, debianPackage: string): string {
  const found = locate(program);
  if (found !== null) return found;
  if (process.getuid?.() !== 0 || spawnSync('apt-get', ['--version']).status !== 0) {
    throw new Error(`this test needs ${program}: install it with \`apt-get install ${debianPackage}\``);
  }
  process.stderr.write(`installing Debian's ${debianPackage} for this test\n`);
  const quietly = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const;
  // Two tests may want to install at once: apt waits for its own lock.
  const wait = ['-o', 'DPkg::Lock::Timeout=300'];
  spawnSync('apt-get', [...wait, 'update', '-qq'], quietly);
  execFileSync('apt-get', [...wait, 'install', '-y', '-qq', '--no-install-recommends', debianPackage], quietly);
  const installed = locate(program);
  if (installed === null) throw new Error(`${debianPackage} has no ${program}`);
  return installed;
}

function locate(program: string): string | null {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  const { status, stdout } = spawnSync('/bin/sh', ['-c', `command -v ${program}`], {
    env: { PATH: path },
    encoding: 'utf8',
  });
  return status === 0 ? stdout.trim() : null;
}
