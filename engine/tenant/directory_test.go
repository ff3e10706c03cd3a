package tenant

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// memoryLog keeps the directory as engine/store does, without a disk.
type memoryLog struct {
	mu     sync.Mutex
	events []Event
}

func (l *memoryLog) Append(_ context.Context, expect int, events []Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if expect != len(l.events) {
		return ErrStale
	}
	l.events = append(l.events, events...)
	return nil
}

func (l *memoryLog) Replay(context.Context) ([]Event, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Event(nil), l.events...), nil
}

func open(t *testing.T, log Log) *Directory {
	t.Helper()
	d, err := OpenDirectory(t.Context(), log)
	require.NoError(t, err)
	return d
}

func water() Tenant {
	return Tenant{
		ID: "suido", Name: "〇〇県水道局", Allow: []string{"192.0.2.0/24", "2001:db8::1"}, Brand: Brand{Phone: "000-000-0000"},
		Senders: []SenderProfile{{Name: "default", Addresses: map[string]string{"docomo": "0312345678"}}},
		Agents:  []Agent{{Name: "sandbox", Module: "payment/sandbox", Methods: []string{"card", "konbini_number"}, Config: []byte("sealed")}},
	}
}

func TestDirectorySurvivesReopening(t *testing.T) {
	log := &memoryLog{}
	d := open(t, log)
	require.NoError(t, d.Apply(t.Context(), water()))
	require.NoError(t, d.AddUser(t.Context(), User{Login: "tanto", Tenant: "suido", Role: RoleSender, Password: HashPassword("x")}))
	text, key, err := d.IssueKey(t.Context(), "suido", "billing")
	require.NoError(t, err)

	again := open(t, log).Now()
	require.Equal(t, d.Now().Tenants, again.Tenants)
	got, ok := again.CheckKey(text)
	require.True(t, ok)
	require.Equal(t, key.ID, got.ID)
	for _, e := range log.events {
		require.NotContains(t, string(e.Data), strings.SplitN(text, "_", 3)[2], "the key's secret is stored")
	}
	tn, agent, ok := again.Hook(again.Tenants["suido"].Agents[0].Hook)
	require.True(t, ok)
	require.Equal(t, ID("suido"), tn.ID)
	require.Equal(t, "sandbox", agent.Name)
	_, _, ok = again.Hook("")
	require.False(t, ok)
}

func TestApplyingAgainKeepsHookAndSecret(t *testing.T) {
	d := open(t, &memoryLog{})
	require.NoError(t, d.Apply(t.Context(), water()))
	was := d.Now().Tenants["suido"].Agents[0]
	next := water()
	next.Agents[0].Config = nil
	require.NoError(t, d.Apply(t.Context(), next))
	require.Equal(t, was, d.Now().Tenants["suido"].Agents[0])
}

func TestKeyIsRefused(t *testing.T) {
	d := open(t, &memoryLog{})
	require.NoError(t, d.Apply(t.Context(), water()))
	text, key, err := d.IssueKey(t.Context(), "suido", "billing")
	require.NoError(t, err)
	for _, wrong := range []string{"", "kk_", "kk_" + key.ID, "kk_" + key.ID + "_", text + "x", "kk_zzzzzzzzzz_" + text[14:], text[3:] + "_"} {
		_, ok := d.Now().CheckKey(wrong)
		require.False(t, ok, wrong)
	}
	require.Error(t, d.RevokeKey(t.Context(), "other", key.ID), "another tenant's key")
	require.NoError(t, d.RevokeKey(t.Context(), "suido", key.ID))
	_, ok := d.Now().CheckKey(text)
	require.False(t, ok)
}

func TestKeysInUseHaveNamesOfTheirOwn(t *testing.T) {
	d := open(t, &memoryLog{})
	second := water()
	second.ID = "gas"
	require.NoError(t, d.Apply(t.Context(), water()))
	require.NoError(t, d.Apply(t.Context(), second))
	_, key, err := d.IssueKey(t.Context(), "suido", "billing")
	require.NoError(t, err)
	_, _, err = d.IssueKey(t.Context(), "suido", "billing")
	require.ErrorContains(t, err, "in use")
	_, _, err = d.IssueKey(t.Context(), "gas", "billing")
	require.NoError(t, err)
	require.NoError(t, d.RevokeKey(t.Context(), "suido", key.ID))
	_, _, err = d.IssueKey(t.Context(), "suido", "billing")
	require.NoError(t, err, "the other one is over")
}

func TestUserStaysInItsTenant(t *testing.T) {
	d := open(t, &memoryLog{})
	second := water()
	second.ID = "gas"
	require.NoError(t, d.Apply(t.Context(), water()))
	require.NoError(t, d.Apply(t.Context(), second))
	require.NoError(t, d.AddUser(t.Context(), User{Login: "tanto", Tenant: "suido", Role: RoleAdmin}))
	require.Error(t, d.AddUser(t.Context(), User{Login: "tanto", Tenant: "gas", Role: RoleAdmin}))
	require.Error(t, d.AddUser(t.Context(), User{Login: "tanto", Tenant: "suido", Role: RoleAdmin}), "it is taken")
	moved, err := d.ChangeUser(t.Context(), "tanto", func(u *User) error { u.Tenant, u.Login, u.Role = "gas", "other", RoleViewer; return nil })
	require.NoError(t, err)
	require.Equal(t, moved, *d.Now().Users["tanto"])
	require.Equal(t, RoleViewer, moved.Role)
	_, err = d.ChangeUser(t.Context(), "tanto", func(u *User) error { u.Role = RoleOperator; return nil })
	require.Error(t, err)
	_, err = d.ChangeUser(t.Context(), "nobody", func(*User) error { return nil })
	require.Error(t, err)
	require.Error(t, d.AddUser(t.Context(), User{Login: "root", Tenant: "suido", Role: RoleOperator}))
	require.Error(t, d.AddUser(t.Context(), User{Login: "tanto", Tenant: OperatorID, Role: RoleAdmin}))
	require.Len(t, d.Now().UsersOf("suido"), 1)
	require.Empty(t, d.Now().UsersOf("gas"))
}

func TestAllowlist(t *testing.T) {
	w := water()
	for addr, want := range map[string]bool{
		"192.0.2.7": true, "::ffff:192.0.2.7": true, "192.0.3.1": false, "2001:db8::1": true, "2001:db8::2": false,
	} {
		require.Equal(t, want, w.Admits(netip.MustParseAddr(addr)), addr)
	}
	w.Allow = nil
	require.False(t, w.Admits(netip.MustParseAddr("127.0.0.1")), "an empty list admits nobody")
}

func TestDefinitionFaultsNameTheirField(t *testing.T) {
	w := Tenant{ID: "A", Parent: "A", Allow: []string{"x"}, Brand: Brand{Color: "red"}, Issuer: Issuer{Registration: "T1"}, LinkHost: "a/b",
		Senders:   []SenderProfile{{Name: "a"}, {Name: "a", Addresses: map[string]string{"au": "abc"}}},
		Templates: []Template{{Name: "t"}}, Agents: []Agent{{Name: "s", Module: "auth/x"}},
		Policy: Policy{KanaLevel: "L9", CodeDigits: 3, MaxSegments: 11, RatePerSec: -1, TokenLength: 7, Identity: Chain{Fields: []string{"birth_date", "Name", "birth_date"}}}}
	var text strings.Builder
	for _, err := range w.Validate() {
		text.WriteString(err.Error() + "\n")
	}
	for _, field := range []string{"id:", "parent:", "name:", "allow[0]:", "brand.color:", "brand.phone:", "issuer.registration:", "link_host:", "sender[1].name:", "sender[1].addresses.au:",
		"template[0].text:", "agent[0].module:", "agent[0].methods:", "policy.kana_level:", `policy.identity.fields: "Name"`, `policy.identity.fields: "birth_date" stands twice`, "policy.code_digits:", "policy.max_segments:", "policy.rate_per_sec:", "policy.token_length:"} {
		require.Contains(t, text.String(), field)
	}
}

// Texts are counted as their readers do: a letter of two code points, a family and a line end are one character each.
func TestTextsAreCountedAsTheyAreRead(t *testing.T) {
	w := water()
	for _, c := range []string{"あ", "か\u3099", "👨\u200d👩\u200d👧", "葛󠄀", "\r\n"} {
		for _, f := range []struct {
			text  *string
			limit int
			want  string
		}{
			{&w.Name, MaxName, "name: has 41 characters, 1 to 40 are allowed"}, {&w.NameEN, MaxNameEN, "name_en: has 81 characters, 80 are allowed"},
			{&w.Brand.Phone, MaxBrandPhone, "brand.phone: has 21 characters, 20 are allowed"}, {&w.Brand.Hours, MaxBrandHours, "brand.hours: has 81 characters, 80 are allowed"},
			{&w.Brand.Note, MaxBrandNote, "brand.note: has 201 characters, 200 are allowed"}, {&w.Brand.Public.Name, maxOfficial, "brand.public.name: has 81 characters, 80 are allowed"},
			{&w.PrePage.Notice, MaxNotice, "prepage.notice: has 601 characters, 600 are allowed"}, {&w.PrePage.NoticeEN, MaxNotice, "prepage.notice_en: has 601 characters, 600 are allowed"},
		} {
			was := *f.text
			*f.text = strings.Repeat(c, f.limit)
			require.Empty(t, w.Validate(), "%q", c)
			*f.text += c
			faults := w.Validate()
			require.Len(t, faults, 1, "%q", c)
			require.EqualError(t, faults[0], f.want)
			*f.text = was
		}
	}
}

func TestConcurrentChangesAllArrive(t *testing.T) {
	d := open(t, &memoryLog{})
	require.NoError(t, d.Apply(t.Context(), water()))
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, _, err := d.IssueKey(context.Background(), "suido", fmt.Sprintf("k%d", i))
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Len(t, d.Now().KeysOf("suido"), 50)
	require.Equal(t, 51, d.Now().Version)
}

func TestPasswords(t *testing.T) {
	p := NewPassword()
	h := HashPassword(p)
	require.True(t, CheckPassword(h, p))
	require.False(t, CheckPassword(h, p+"x"))
	require.False(t, CheckPassword("", ""))
	require.False(t, CheckPassword("$argon2id$broken", p))
	require.NotEqual(t, h, HashPassword(p))
}

func TestScopeSeesOnlyItsTenant(t *testing.T) {
	require.False(t, Scope{}.Sees("suido"))
	require.False(t, Only("").Sees(""))
	require.True(t, Only("suido").Sees("suido"))
	require.False(t, Only("suido").Sees("gas"))
	require.True(t, Operator().Sees("gas"))
}
