// Package signin owns who is at the console: passwords, second factors, sessions, and how fast anybody may try.
//
// Order of steps of a sign-in: the waits of account and address are looked at and the try is counted before anything is
// compared; the password is compared (argon2id, at most two at a time); then, where the user has one, a code of the
// authenticator is asked for, and where the tenant wants one and the user has none, one is set up. Each step gives a new
// session under a new random id, so that an id from before is worth nothing after.
//
// A session is a cookie sealed under the operator's key: it holds who, since when, and a mark of the user's password and
// second factor, so that a changed password, a changed role or a disabled user ends all sessions at once. It survives a restart. What
// must not be undone by a restart is in the audit log: a session that this process has not met is looked for there
// among those that signed out. In memory are only the time of each session's last request, the waits, and for how long
// numbers are shown whole; a restart makes these stricter or forgets the waits.
//
// An unknown login costs and answers the same as a wrong password.
package signin
