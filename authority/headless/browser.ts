/** As much of a browser as a plain form flow needs: cookies by path (RFC 6265), one request at a time, no redirect unseen. */
import { BehalfError } from '../../errors/index.ts';

const TIMEOUT_MS = 15_000;
const MAX_BODY_BYTES = 256 * 1_024;

/** An answer. `location` is where it leads on, absolute; null where it is a page. */
export interface Page {
  readonly status: number;
  readonly location: URL | null;
  readonly body: string;
  readonly retryAfterS: number;
  /** Where the first form posts to. */
  formAction(): URL | null;
  hiddenField(name: string): string | null;
  /** Values of the checkboxes of that name. */
  checkboxes(name: string): readonly string[];
  /** What the page says went wrong. */
  problem(): string | null;
}

export interface Browser {
  get(url: URL): Promise<Page>;
  post(url: URL, fields: readonly (readonly [string, string])[]): Promise<Page>;
}

interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

/** A browser with an empty jar that talks to one origin. */
export function openBrowser(issuer: string): Browser {
  const { origin } = new URL(issuer);
  const jar = new Map<string, Cookie>();

  const visit = async (url: URL, form: URLSearchParams | null): Promise<Page> => {
    if (url.origin !== origin) {
      throw new BehalfError('request_malformed', { why: 'the flow leads to another site', origin: url.origin });
    }
    const cookies = [...jar.values()]
      .filter(({ path }) => covers(path, url.pathname))
      .sort((a, b) => b.path.length - a.path.length)
      .map(({ name, value }) => `${name}=${value}`);
    const answer = await send(url, form, {
      ...(cookies.length === 0 ? {} : { cookie: cookies.join('; ') }),
      ...(form === null ? {} : { origin }),
    });
    for (const line of answer.headers.getSetCookie()) keep(jar, line, url.pathname);
    return pageOf(answer, url);
  };

  return {
    get: (url) => visit(url, null),
    post: (url, fields) => visit(url, new URLSearchParams(fields.map(([name, value]) => [name, value]))),
  };
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * One request, a POST where there is a form; redirects are not followed.
 * @throws {BehalfError} `upstream_unavailable`, `request_malformed` for an answer past its limit
 */
export async function send(url: URL, form: URLSearchParams | null, headers: Record<string, string>): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: form === null ? 'GET' : 'POST',
      body: form,
      headers,
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (cause) {
    throw new BehalfError(
      'upstream_unavailable',
      { origin: url.origin, why: 'the authority cannot be reached' },
      { cause },
    );
  }
  const text = await response.text();
  if (text.length > MAX_BODY_BYTES) throw new BehalfError('request_malformed', { why: 'answer too large' });
  return { status: response.status, headers: response.headers, text };
}

function pageOf({ status, headers, text: body }: Answer, url: URL): Page {
  const location = headers.get('location');
  return {
    status,
    location: location === null ? null : new URL(location, url),
    body,
    retryAfterS: Number(headers.get('retry-after') ?? 0),
    formAction: () => {
      const action = /<form [^>]*action="([^"]+)"/.exec(body)?.[1];
      return action === undefined ? null : new URL(unescapeHtml(action), url);
    },
    hiddenField: (name) => {
      const value = new RegExp(`<input type="hidden" name="${name}" value="([^"]*)"`).exec(body)?.[1];
      return value === undefined ? null : unescapeHtml(value);
    },
    checkboxes: (name) => {
      const boxes = body.matchAll(new RegExp(`<input type="checkbox" name="${name}" value="([^"]*)"`, 'g'));
      return [...boxes].map(([, value = '']) => unescapeHtml(value));
    },
    problem: () => {
      const text = /<p class="problem">([^<]*)</.exec(body)?.[1];
      return text === undefined ? null : unescapeHtml(text);
    },
  };
}

/** RFC 6265 section 5.1.4. */
function covers(cookiePath: string, path: string): boolean {
  return path === cookiePath || path.startsWith(cookiePath.endsWith('/') ? cookiePath : `${cookiePath}/`);
}

function keep(jar: Map<string, Cookie>, line: string, requestPath: string): void {
  const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
  const [name = '', value = ''] = splitOnce(pair);
  const attribute = (wanted: string): string | undefined =>
    attributes.map(splitOnce).find(([key]) => key?.toLowerCase() === wanted)?.[1];
  const path = attribute('path') ?? requestPath.slice(0, Math.max(1, requestPath.lastIndexOf('/')));
  const expires = attribute('expires');
  const gone =
    value === '' || attribute('max-age') === '0' || (expires !== undefined && Date.parse(expires) < Date.now());
  if (gone) jar.delete(`${name} ${path}`);
  else jar.set(`${name} ${path}`, { name, value, path });
}

function splitOnce(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
};

function unescapeHtml(text: string): string {
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity] ?? entity);
}
