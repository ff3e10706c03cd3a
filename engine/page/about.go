package page

import (
	"maps"
	"slices"
	"strings"

	"github.com/kakitome/kakitome/engine/tenant"
	"github.com/kakitome/kakitome/plugins/proto"
)

// neverAsks is what no page of ours asks for, where the tenant says nothing of its own. Cards are the agent's page's.
var neverAsks = map[string][]string{
	"ja": {"クレジットカードの番号・セキュリティコード", "口座の暗証番号、インターネットバンキングのID・パスワード", "マイナンバー", "プリペイドカード・ギフトカードの番号", "アプリのインストール"},
	"en": {"Card numbers or security codes", "Bank PINs, or ids and passwords of online banking", "My Number", "Numbers of prepaid or gift cards", "To install an app"},
}

// About is how the tenant's messages are told from others', for anybody who has one in doubt. It says nothing of any message.
// label names a carrier; domain is the host of the tenant's links.
func About(t *tenant.Tenant, lang string, label func(carrier string) string, domain string) *proto.Page {
	say := func(ja, en string) string {
		if lang == "en" {
			return en
		}
		return ja
	}
	p := View(t, proto.View_ABOUT, lang)
	p.About = "" // it is this one
	name := p.Brand.Name
	p.Title = say(name+"のSMSの見分け方", "How to tell messages from "+name)
	p.Lead = say("SMSが届いて、"+name+"からのものか迷われたときは、次の内容とお比べください。異なるときは、URLを開かずにお問い合わせください。",
		"When you are not sure whether an SMS is from "+name+", compare it with the following. If it differs, do not open its link, and ask us.")
	row := func(item, value string) {
		if value != "" {
			p.Rows = append(p.Rows, &proto.Row{Item: valid(item), Value: valid(value)})
		}
	}
	row(say("正式名称", "Official name"), t.OfficialName())
	row(say("公式サイト", "Official site"), t.Brand.Public.Site)
	for _, from := range senders(t, label) {
		row(say("送信元の番号（"+from.carrier+"）", "Sender ("+from.carrier+")"), strings.Join(from.addresses, say("、", ", ")))
	}
	row(say("URLのドメイン", "Domain of links"), domain)
	asks := t.Brand.Public.NeverAsks
	if lang == "en" {
		asks = t.Brand.Public.NeverAsksEN
	}
	if len(asks) == 0 {
		asks = neverAsks[say("ja", "en")]
	}
	p.Closing = valid(say("SMSやURLの先のページで、次のものをおたずねすることはありません。", "Neither our messages nor their pages ever ask for:") +
		say("\n・", "\n- ") + strings.Join(asks, say("\n・", "\n- ")))
	return p
}

type sender struct {
	carrier   string
	addresses []string
}

// senders lists the addresses of all profiles by carrier, in the order of what the carriers are called.
func senders(t *tenant.Tenant, label func(carrier string) string) []sender {
	found := map[string]map[string]bool{}
	for _, profile := range t.Senders {
		for carrier, address := range profile.Addresses {
			if found[carrier] == nil {
				found[carrier] = map[string]bool{}
			}
			found[carrier][address] = true
		}
	}
	var all []sender
	for carrier, addresses := range found {
		all = append(all, sender{label(carrier), slices.Sorted(maps.Keys(addresses))})
	}
	slices.SortFunc(all, func(a, b sender) int { return strings.Compare(a.carrier, b.carrier) })
	return all
}
