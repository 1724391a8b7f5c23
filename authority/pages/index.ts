/**
 * The authority's pages: sign-in, consent, and "your access". Plain forms without script, so that a headless client can drive
 * them as a browser does (`../headless/` is one). The steps of the authorization code flow, with a cookie jar and without
 * following redirects out of the issuer:
 *
 *  1. `GET  /auth?response_type=code&client_id=…&redirect_uri=…&scope=a%20b&code_challenge=…&code_challenge_method=S256&state=…&purpose=…`
 *     -> 303 to `/interaction/<uid>`
 *  2. `GET  /interaction/<uid>` -> 200, the sign-in form (where nobody is signed in yet) or the consent form; both carry a hidden
 *     field `csrf` and their `action`
 *  3. `POST /interaction/<uid>/sign-in` with `csrf`, `account`, `password` -> 303 to `/auth/<uid>`; wrong: 401 and the form again;
 *     too often: 429 with `Retry-After`
 *  4. `GET  /auth/<uid>` -> 303 to `/interaction/<uid 2>`, now the consent form: `GET` it
 *  5. `POST /interaction/<uid 2>/consent` with `csrf`, `decision=allow` (or `deny`), `scope` once for each scope that is granted,
 *     `duration_s` (60 to 2592000) -> 303 to `/auth/<uid 2>`
 *  6. `GET  /auth/<uid 2>` -> 303 to the redirect URI with `code` and `state` (or `error=access_denied`)
 *  7. `POST /token` with `grant_type=authorization_code`, `code`, `redirect_uri`, `client_id`, `code_verifier`
 *
 * "Your access": `GET /sign-in` and `POST /sign-in` (`csrf`, `account`, `password`) sign in, `GET /consents` lists, and
 * `POST /consents/<id>/withdraw` (`csrf`), `POST /consents/<id>/narrow` (`csrf`, `scope` once for each that stays) and
 * `POST /sign-out` (`csrf`) change. A withdrawal is answered after it is durable and handed to the collector.
 */
export { errorPage, setSecurityHeaders } from './answer.ts';
export { createPages, type Pages } from './pages.ts';
