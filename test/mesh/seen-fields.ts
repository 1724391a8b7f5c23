/** What `front` and `back` say of the header fields and trailers that reached them at `/fields`, as names and values. */

export type SeenFields = readonly (readonly [name: string, value: string])[];

/** From the answer's field `x-front-fields`. */
export function frontFields(encoded: string | undefined): SeenFields {
  return pairs(JSON.parse(Buffer.from(encoded ?? '', 'base64url').toString('utf8')) as string[]);
}

/** From the answer's body. */
export function backFields(body: string): SeenFields {
  return pairs((JSON.parse(body) as { fields: string[] }).fields);
}

function pairs(flat: readonly string[]): SeenFields {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!, flat[2 * i + 1]!] as const);
}
