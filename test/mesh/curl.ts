/** Debian's curl, as a person would type it: another TLS and HTTP implementation than ours. */
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { debianProgram } from './debian.ts';

const TIMEOUT_S = 10;
const run = promisify(execFile);

/** Files for `--cert` and `--key`. */
export interface CurlCredentials {
  readonly cert: string;
  readonly key: string;
}

export interface CurlAnswer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
  /** Member `code` of a problem body; null for any other. */
  readonly code: string | null;
}

/**
 * One GET. Without credentials no certificate is shown; the server's is not checked (`--insecure`).
 * @throws Error where no HTTP answer came
 */
export async function curl(
  url: string,
  headers: readonly string[],
  credentials: CurlCredentials | null = null,
): Promise<CurlAnswer> {
  const args = ['--silent', '--show-error', '--insecure', '--include', '--max-time', String(TIMEOUT_S)];
  if (credentials !== null) args.push('--cert', credentials.cert, '--key', credentials.key);
  for (const header of headers) args.push('--header', header);
  const { stdout } = await run(debianProgram('curl', 'curl'), [...args, url]);
  return parseAnswer(stdout);
}

/** PEM files of a key and its certificates in a folder of their own. */
export function writeCredentials(folder: string, key: string, cert: string): CurlCredentials {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const files = { key: join(folder, 'key.pem'), cert: join(folder, 'cert.pem') };
  writeFileSync(files.key, key, { mode: 0o600 });
  writeFileSync(files.cert, cert);
  return files;
}

function parseAnswer(text: string): CurlAnswer {
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...fields] = text.slice(0, end).split('\r\n');
  const headers = new Map<string, string>();
  for (const field of fields) {
    const colon = field.indexOf(':');
    headers.set(field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim());
  }
  const body = text.slice(end + 4);
  const isProblem = headers.get('content-type') === 'application/problem+json';
  const code = isProblem ? (JSON.parse(body) as { code: string }).code : null;
  return { status: Number(statusLine.split(' ')[1]), headers, body, code };
}
