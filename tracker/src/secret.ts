/** Which fields are for secrets, by what they are called. The server has the same words. */

const WORDS =
  /passw|passphrase|pwd|secret|one-time-code|(^|[^a-z])(cc|cvc|cvv|csc|iban|ssn|otp|pin|tan)($|[^a-z])|card.?(num|no($|\W)|holder|cvc|cvv|code|exp)|credit.?card|(security|social).?(code|security)|account.?num|routing.?num|kennwort|mot.?de.?passe|contrase|senha|wachtwoord|has[lł]o|пароль|密[码碼]|パスワード|비밀번호|kreditkart|karten.?num|prüf(ziffer|num)|sicherheits(code|num)|carte.bancaire|n[uú]m.{2,9}(carte|tarjeta)/i;

/** Whether a name, a label or a hint says that a field is for a password, a card, a code or the like. */
export const isSecretName = (text: string) => WORDS.test(text) || WORDS.test(text.replace(/([a-z])([A-Z])/g, "$1 $2"));
