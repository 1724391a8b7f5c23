/** The ways to attest, a file each. */
export type { Attestation, Attestor } from './attestation.ts';
export {
  createJoinToken,
  DEFAULT_TOKEN_LIFE_S,
  isKnownToken,
  MAX_TOKEN_LIFE_S,
  redeemJoinToken,
} from './join-token.ts';
export { attestRenewal } from './renewal.ts';
export { attestUnixPeer, ownerOf } from './unix-peer.ts';
