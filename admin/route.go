package admin

import (
	"net/http"

	"github.com/kakitome/kakitome/engine/tenant"
)

// route is one thing that can be asked for. roles are those that may: this table is the only place that decides.
type route struct {
	method, path string
	roles        []tenant.Role // nil: anybody, signed in or not
	serve        func(*Server, http.ResponseWriter, *http.Request, *visit) error
	step         bool  // also between password and second factor
	body         int64 // bytes of a form at most; 0: maxForm
	raw          bool  // the handler reads the body itself and checks the token with v.proven
}

const maxForm = 1 << 20

var (
	everyone  = []tenant.Role{tenant.RoleOperator, tenant.RoleAdmin, tenant.RoleSender, tenant.RoleViewer}
	members   = []tenant.Role{tenant.RoleAdmin, tenant.RoleSender, tenant.RoleViewer}   // of a tenant: masked lists
	senders   = []tenant.Role{tenant.RoleAdmin, tenant.RoleSender}                      // of a tenant: content, sending
	admins    = []tenant.Role{tenant.RoleAdmin}                                         // of a tenant: numbers, money, people
	operators = []tenant.Role{tenant.RoleOperator}                                      // no recipient's content
	readers   = []tenant.Role{tenant.RoleOperator, tenant.RoleAdmin, tenant.RoleSender} // of what phones send: a tenant's, or what is for none
	heads     = []tenant.Role{tenant.RoleOperator, tenant.RoleAdmin}
)

var notFound = route{serve: func(*Server, http.ResponseWriter, *http.Request, *visit) error { return errNotFound }}

var routes = []route{
	{method: "GET", path: "/signin", serve: (*Server).signinForm},
	{method: "POST", path: "/signin", serve: (*Server).signin},
	{method: "GET", path: "/signin/code", roles: everyone, step: true, serve: (*Server).codeForm},
	{method: "POST", path: "/signin/code", roles: everyone, step: true, serve: (*Server).code},
	{method: "GET", path: "/signin/enrol", roles: heads, step: true, serve: (*Server).enrolForm},
	{method: "POST", path: "/signin/enrol", roles: heads, step: true, serve: (*Server).enrol},
	{method: "POST", path: "/signout", roles: everyone, step: true, serve: (*Server).signout},
	{method: "POST", path: "/lang", serve: (*Server).setLang},

	{method: "GET", path: "/{$}", roles: everyone, serve: (*Server).home},
	{method: "GET", path: "/account", roles: everyone, serve: (*Server).account},
	{method: "POST", path: "/account/password", roles: everyone, serve: (*Server).changePassword},
	{method: "POST", path: "/account/phone", roles: senders, serve: (*Server).setPhone},
	{method: "GET", path: "/account/totp", roles: everyone, serve: (*Server).totpForm},
	{method: "POST", path: "/account/totp", roles: everyone, serve: (*Server).totp},

	{method: "GET", path: "/messages", roles: members, serve: (*Server).list},
	{method: "POST", path: "/messages/search", roles: members, serve: (*Server).search},
	{method: "POST", path: "/messages/unmask", roles: admins, serve: (*Server).unmask},
	{method: "POST", path: "/messages/export", roles: senders, serve: (*Server).export},
	{method: "POST", path: "/messages/answers", roles: senders, serve: (*Server).exportAnswers},
	{method: "GET", path: "/messages/{id}", roles: members, serve: (*Server).detail},
	{method: "GET", path: "/messages/{id}/page", roles: senders, serve: (*Server).messagePage},
	{method: "GET", path: "/messages/{id}/papers/{name}", roles: senders, serve: (*Server).messagePaper},
	{method: "POST", path: "/messages/{id}/cancel", roles: senders, serve: (*Server).cancel},
	{method: "POST", path: "/messages/{id}/revoke", roles: senders, serve: (*Server).revoke},
	{method: "POST", path: "/messages/{id}/expiry", roles: senders, serve: (*Server).moveExpiry},
	{method: "POST", path: "/messages/{id}/mail", roles: senders, serve: (*Server).mail},
	{method: "POST", path: "/messages/{id}/unlock", roles: senders, serve: (*Server).unlock},
	{method: "POST", path: "/messages/{id}/readmit", roles: senders, serve: (*Server).readmit},

	{method: "POST", path: "/messages/{id}/certificate", roles: admins, serve: (*Server).certificate},

	{method: "GET", path: "/answers", roles: senders, serve: (*Server).answersScreen},
	{method: "POST", path: "/answers/export", roles: senders, serve: (*Server).exportReplies},

	{method: "GET", path: "/send", roles: senders, serve: (*Server).sendForm},
	{method: "POST", path: "/send", roles: senders, serve: (*Server).send},
	{method: "GET", path: "/send/preview/{id}", roles: senders, serve: (*Server).draftPage},
	{method: "GET", path: "/send/preview/{id}/{name}", roles: senders, serve: (*Server).draftPaper},

	{method: "GET", path: "/documents", roles: senders, serve: (*Server).documents},
	{method: "POST", path: "/documents", roles: senders, serve: (*Server).uploadDocuments, raw: true},
	{method: "GET", path: "/documents/{id}", roles: senders, serve: (*Server).documentFile},
	{method: "POST", path: "/documents/{id}/remove", roles: senders, serve: (*Server).removeDocument},

	{method: "GET", path: "/uploads", roles: members, serve: (*Server).uploads},
	{method: "POST", path: "/uploads", roles: senders, serve: (*Server).upload, raw: true},
	{method: "GET", path: "/uploads/{id}", roles: members, serve: (*Server).uploadDetail},
	{method: "POST", path: "/uploads/{id}/faults", roles: senders, serve: (*Server).uploadFaults},
	{method: "POST", path: "/uploads/{id}/sheets", roles: admins, serve: (*Server).uploadSheets},
	{method: "POST", path: "/uploads/{id}/release", roles: senders, serve: (*Server).release},
	{method: "POST", path: "/uploads/{id}/drop", roles: senders, serve: (*Server).drop},
	{method: "POST", path: "/uploads/{id}/pause", roles: senders, serve: (*Server).pauseUpload},
	{method: "POST", path: "/uploads/{id}/resume", roles: senders, serve: (*Server).resumeUpload},
	{method: "POST", path: "/uploads/{id}/cancel", roles: senders, serve: (*Server).cancelUpload},
	{method: "POST", path: "/uploads/{id}/retry-canary", roles: senders, serve: (*Server).retryCanary},
	{method: "POST", path: "/uploads/{id}/continue", roles: senders, serve: (*Server).continueUpload},
	{method: "POST", path: "/uploads/{id}/drop-carrier", roles: senders, serve: (*Server).dropCarrier},
	{method: "GET", path: "/seeds", roles: admins, serve: (*Server).seeds},
	{method: "POST", path: "/seeds", roles: admins, serve: (*Server).setSeed},

	{method: "GET", path: "/follow-ups", roles: members, serve: (*Server).followUps},
	{method: "POST", path: "/follow-ups", roles: senders, serve: (*Server).followUp},
	{method: "POST", path: "/follow-ups/calls", roles: admins, serve: (*Server).callList},
	{method: "POST", path: "/follow-ups/{id}/stop", roles: senders, serve: (*Server).stopFollowUp},

	{method: "GET", path: "/received", roles: readers, serve: (*Server).received},
	{method: "POST", path: "/received/{id}/stop", roles: senders, serve: (*Server).stopSender},
	{method: "GET", path: "/do-not-send", roles: senders, serve: (*Server).doNotSend},
	{method: "POST", path: "/do-not-send", roles: senders, serve: (*Server).addDoNotSend},
	{method: "POST", path: "/do-not-send/import", roles: senders, serve: (*Server).importDoNotSend, raw: true},
	{method: "POST", path: "/do-not-send/export", roles: admins, serve: (*Server).exportDoNotSend},
	{method: "POST", path: "/do-not-send/{id}/remove", roles: senders, serve: (*Server).removeDoNotSend},

	{method: "GET", path: "/alerts", roles: admins, serve: (*Server).alerts},
	{method: "POST", path: "/claims/{id}/resolve", roles: admins, serve: (*Server).resolve},
	{method: "POST", path: "/claims/{id}/count-deposit", roles: admins, serve: (*Server).countDeposit},
	{method: "POST", path: "/claims/{id}/amend", roles: admins, serve: (*Server).amend},
	{method: "POST", path: "/claims/{id}/charge", roles: admins, serve: (*Server).charge},
	{method: "POST", path: "/claims/{id}/settle", roles: admins, serve: (*Server).settle},
	{method: "POST", path: "/claims/{id}/withdraw", roles: admins, serve: (*Server).withdraw},
	{method: "POST", path: "/claims/{id}/receipt", roles: admins, serve: (*Server).receipt},
	{method: "GET", path: "/claims/{id}/refund", roles: admins, serve: (*Server).refundForm},
	{method: "POST", path: "/claims/{id}/refund", roles: admins, serve: (*Server).refund},

	{method: "GET", path: "/reconciliation", roles: admins, serve: (*Server).reconcile},
	{method: "POST", path: "/reconciliation/report", roles: admins, serve: (*Server).report, raw: true},
	{method: "POST", path: "/reconciliation/export", roles: admins, serve: (*Server).exportReconciliation},
	{method: "POST", path: "/claims/{id}/sheet", roles: admins, serve: (*Server).sheetURL},
	{method: "POST", path: "/claims/{id}/sheet-revoke", roles: admins, serve: (*Server).revokeSheets},

	{method: "GET", path: "/users", roles: admins, serve: (*Server).users},
	{method: "POST", path: "/users", roles: admins, serve: (*Server).addUser},
	{method: "POST", path: "/users/{login}", roles: admins, serve: (*Server).changeUser},
	{method: "GET", path: "/keys", roles: admins, serve: (*Server).keys},
	{method: "POST", path: "/keys", roles: admins, serve: (*Server).issueKey},
	{method: "POST", path: "/keys/{id}/revoke", roles: admins, serve: (*Server).revokeKey},
	{method: "GET", path: "/brand", roles: admins, serve: (*Server).brand},
	{method: "POST", path: "/brand", roles: admins, serve: (*Server).setBrand, raw: true},
	{method: "GET", path: "/brand/preview/{id}", roles: admins, serve: (*Server).draftPage},
	{method: "GET", path: "/brand/preview/{id}/{name}", roles: admins, serve: (*Server).brandPaper},
	{method: "GET", path: "/logos/{name}", serve: (*Server).logo},
	{method: "GET", path: "/settings", roles: admins, serve: (*Server).settings},
	{method: "POST", path: "/settings", roles: admins, serve: (*Server).setSettings},
	{method: "GET", path: "/callbacks", roles: admins, serve: (*Server).callbacks},
	{method: "POST", path: "/callbacks", roles: admins, serve: (*Server).setCallback},
	{method: "POST", path: "/callbacks/{name}", roles: admins, serve: (*Server).changeCallback},
	{method: "GET", path: "/audit", roles: heads, serve: (*Server).audit},
	{method: "POST", path: "/audit/export", roles: heads, serve: (*Server).exportAudit},

	{method: "GET", path: "/tenants", roles: operators, serve: (*Server).tenants},
	{method: "GET", path: "/carriers", roles: operators, serve: (*Server).carriers},
	{method: "POST", path: "/carriers/reload", roles: operators, serve: (*Server).reload},
	{method: "POST", path: "/carriers/{name}/hold", roles: operators, serve: (*Server).hold},
	{method: "GET", path: "/carriers/{name}/try", roles: operators, serve: (*Server).trialForm},
	{method: "POST", path: "/carriers/{name}/try", roles: operators, serve: (*Server).try},
	{method: "GET", path: "/binds/{name}", roles: operators, serve: (*Server).bind},
}
