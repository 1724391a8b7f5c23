import { afterEach, expect, test } from 'vitest';
import { type RunningAuthority, runAuthority } from '../testing/running-authority.ts';

let running: RunningAuthority;
afterEach(() => running.close());

/** Status of a sign-in with a wrong password, through a proxy that names this client. */
async function tryFrom(address: string, account: string): Promise<number> {
  const url = new URL('/sign-in', running.issuer);
  const form = await fetch(url, { headers: { 'x-forwarded-for': address } });
  const csrf = /name="csrf" value="([^"]*)"/.exec(await form.text())?.[1] ?? '';
  const cookie = form.headers.getSetCookie()[0]?.split(';', 1)[0] ?? '';
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'x-forwarded-for': address, cookie },
    body: new URLSearchParams({ csrf, account, password: 'wrong' }),
    redirect: 'manual',
  });
  await answer.text();
  return answer.status;
}

test('behind a trusted proxy one client’s failures lock nobody else out', async () => {
  running = await runAuthority({ trustedProxies: ['127.0.0.0/8'] });
  for (let i = 0; i < 50; i++) expect(await tryFrom(`2001:db8::${i}`, `guess-${i}`)).toBe(401);
  expect(await tryFrom('2001:db8::ffff', 'one-more')).toBe(429);
  expect(await tryFrom('2001:db8:0:1::1', 'somebody')).toBe(401);
}, 30_000);
