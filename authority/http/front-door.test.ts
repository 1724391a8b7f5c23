import { request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { REDIRECT_URI, type RunningAuthority, runAuthority } from '../testing/running-authority.ts';

let running: RunningAuthority;
afterEach(() => running.close());

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

/** A GET with whatever headers, `Host` among them, which `fetch` would not send. */
function get(path: string, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(running.origin);
    const sent = request({ hostname, port, path, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const AUTH = `/auth?${new URLSearchParams({
  response_type: 'code',
  client_id: 'shop-app',
  redirect_uri: REDIRECT_URI,
  scope: 'orders:read',
  code_challenge: 'x'.repeat(43),
  code_challenge_method: 'S256',
})}`;

test('the metadata names our own endpoints, whatever host the request or a header of it names', async () => {
  running = await runAuthority();
  const { body } = await get('/.well-known/oauth-authorization-server', {
    host: 'evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'gopher',
  });
  const metadata = JSON.parse(body) as Record<string, unknown>;
  expect(metadata['token_endpoint']).toBe(`${running.issuer}/token`);
  expect(body).not.toContain('evil.example');
});

test('behind TLS every cookie is Secure, also where the proxy does not say that it has TLS', async () => {
  running = await runAuthority({ issuer: 'https://auth.example' });
  for (const headers of [{}, { 'x-forwarded-proto': 'http' }]) {
    const cookies = [
      (await get(AUTH, headers)).headers['set-cookie'],
      (await get('/sign-in', headers)).headers['set-cookie'],
    ]
      .flat()
      .filter((cookie) => cookie !== undefined);
    expect(cookies.length).toBeGreaterThan(1);
    for (const cookie of cookies) expect(cookie.toLowerCase()).toMatch(/; secure/);
    for (const cookie of cookies) expect(cookie.toLowerCase()).toMatch(/; httponly/);
  }
  const { body } = await get('/.well-known/oauth-authorization-server', {});
  expect((JSON.parse(body) as Record<string, unknown>)['token_endpoint']).toBe('https://auth.example/token');
});

test('the cookies of our own pages can be set by no sibling of our host', async () => {
  running = await runAuthority({ issuer: 'https://auth.example' });
  const [cookie = ''] = (await get('/sign-in', {})).headers['set-cookie'] ?? [];
  expect(cookie).toMatch(/^__Host-behalf_form=/);
});

test('a request target in absolute form, which names a host of its own, is refused', async () => {
  running = await runAuthority();
  const { status } = await get('http://evil.example/.well-known/oauth-authorization-server', {});
  expect(status).toBe(400);
});
