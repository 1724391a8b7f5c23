/** The shop's app as it stands outside: it calls the entry with the user's access token, and reads what comes. */

export interface ShopAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const TIMEOUT_MS = 15_000;

/** Calls the entry as a user. */
export async function callShop(
  entry: string,
  accessToken: string,
  method: string,
  path: string,
  body?: object,
): Promise<ShopAnswer> {
  const response = await fetch(new URL(path, entry), {
    method,
    headers: {
      authorization: `Bearer ${accessToken}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const read: unknown = await response.json().catch(() => ({}));
  return {
    status: response.status,
    body: typeof read === 'object' && read !== null ? (read as Record<string, unknown>) : {},
  };
}
