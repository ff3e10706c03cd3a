// Oidc is the identity module that asks an OpenID Provider who somebody is: the national digital identity app
// (デジタル認証アプリ), a bank's, a company's own. What the provider says is compared with what the sender registered.
//
//	Begin    the provider's authorization endpoint, with state (the host's), nonce and PKCE S256
//	Finish   state and issuer as expected ─► code ─► token endpoint, the client authenticated by private_key_jwt (RFC 7523)
//	         ─► ID token: signature by the provider's keys, issuer, audience, expiry, nonce, at_hash
//	         ─► UserInfo, where a level needs more than the ID token says; its sub must be the ID token's
//	         ─► the canonical form of what the level names
//
// Levels say what is compared; what the sender registers is their parts, separated by ";":
//
//	sub                     24400320                      the provider's own id of the person
//	name_birthdate          山田 太郎;1998-01-01
//	name_birthdate_address  山田 太郎;1998-01-01;東京都千代田区…1-1
//
// Names and addresses are compared without spaces, in NFKC and with one kind of dash; a variant of a kanji (髙, 高) is another one.
//
// Nothing is kept between calls but the instances, and what each provider publishes (endpoints, keys). The nonce and the
// PKCE verifier are in what the host keeps in the browser's session. The provider is reached by the host's proxy alone.
package main

import (
	"context"
	_ "embed"

	"github.com/kakitome/kakitome/plugins/proto"
	"github.com/kakitome/kakitome/plugins/sdk"
)

//go:embed config.schema.json
var configSchema string

func main() { sdk.Serve(module(newClients())) }

const field = "oidc"

func module(c *clients) sdk.Module {
	return sdk.Module{
		Describe: &proto.DescribeResponse{
			Name: "oidc", Vendor: "Kakitome", Version: "0.1.0", Kind: proto.Kind_AUTH, ConfigSchema: configSchema, MaxConcurrency: 64,
			AuthFields: []*proto.AuthField{{
				Name: field, LabelJa: "本人確認サービス", LabelEn: "Identity service",
				HintJa: "本人確認に必要なもの（マイナンバーカードなど）をご用意ください。", HintEn: "Have at hand what it asks for, such as your My Number card.",
				InputMode: "text", Autocomplete: "off", MaxLength: maxValue, Levels: []string{levelSub, levelName, levelAddress},
				OneIn: 1_000_000_000, Elsewhere: true,
			}},
		},
		ValidateConfig: func(config []byte) []*proto.Error {
			_, faults := parseConfig(config)
			return faults
		},
		Configure: func(_ context.Context, instance, _ string, config []byte) *proto.Error {
			return c.configure(instance, config)
		},
		Drain: func(context.Context) { c.http.CloseIdleConnections() },
		Auth:  c,
	}
}
