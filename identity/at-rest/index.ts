/** Secrets at rest, as every part keeps them. */
export { checkPassphrase, keyFromPassphrase, readPassphrase, SALT_BYTES, SCRYPT_COST } from './passphrase.ts';
export { KEY_BYTES, NONCE_BYTES, seal, TAG_BYTES, unseal } from './sealing.ts';
