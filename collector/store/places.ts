/** The names that sealed values are bound to, so that none can be moved to another's place. */

export function eventPlace(index: number): string {
  return `behalf-event-v1 ${index}`;
}

export function chainPlace(chainId: Buffer): string {
  return `behalf-chain-v1 ${chainId.toString('hex')}`;
}
