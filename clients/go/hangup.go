// Disconnects one participant. Needs nothing but Go 1.19.
//
//	go run hangup.go CONVERSATION_ID PARTICIPANT_ID [REASON]
//
// HANGUP_URL is where the service is, HANGUP_KEY your caller key, HANGUP_WAIT (seconds, default 5) how long to wait until
// the participant is seen gone. Exit: 0 gone or going, 1 nobody was disconnected, 2 still there when last seen.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Answer has the members that a caller looks at; the JSON has more.
type Answer struct {
	OK                *bool  `json:"ok"`
	Outcome           string `json:"outcome"`
	Gone              *bool  `json:"gone"`
	Code              string `json:"code"`
	Detail            string `json:"detail"`
	Effect            string `json:"effect"`
	Retryable         bool   `json:"retryable"`
	RetryAfterSeconds *int   `json:"retryAfterSeconds"`
	RequestID         string `json:"requestId"`
	JSON              []byte `json:"-"`
}

// One client for all calls. The service waits up to 60 seconds beyond its deadline where it is asked to.
var client = &http.Client{Timeout: 90 * time.Second}

// Disconnect returns what the service answered, or an error if it did not answer.
func Disconnect(base, key, conversation, participant, reason, wait string) (Answer, error) {
	address := fmt.Sprintf("%s/conversations/%s/participants/%s/disconnect",
		strings.TrimRight(base, "/"), url.PathEscape(conversation), url.PathEscape(participant))
	body, err := json.Marshal(map[string]string{"reason": reason})
	if err != nil {
		return Answer{}, err
	}
	for last := false; ; last = true {
		answer, err := post(address, key, wait, body)
		if err != nil {
			return answer, err
		}
		// Busy: retry once, if the answer says when and that is soon.
		pause := answer.RetryAfterSeconds
		if last || !answer.Retryable || pause == nil || *pause > 30 {
			return answer, nil
		}
		time.Sleep(time.Duration(*pause) * time.Second)
	}
}

func post(address, key, wait string, body []byte) (answer Answer, err error) {
	request, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return answer, err
	}
	request.Header.Set("X-API-Key", key)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prefer", "wait="+wait)
	response, err := client.Do(request)
	if err != nil {
		return answer, err
	}
	defer response.Body.Close()
	if answer.JSON, err = io.ReadAll(response.Body); err != nil {
		return answer, err
	}
	if json.Unmarshal(answer.JSON, &answer) != nil || answer.OK == nil {
		return answer, fmt.Errorf("HTTP %d of something other than hangup: check the address", response.StatusCode)
	}
	return answer, nil
}

// Verdict is the exit code, and what to tell a person. `gone`, then `outcome` or `code`, say it; the HTTP status says less.
func (a Answer) Verdict() (int, string) {
	switch {
	case a.Outcome == "would_disconnect":
		return 1, "observe mode: nobody was disconnected"
	case *a.OK && a.Gone != nil && !*a.Gone:
		return 2, "accepted, but still there when last seen"
	case *a.OK:
		return 0, "" // disconnected, accepted, already_disconnected, conversation_ended
	case a.Effect == "unknown":
		return 1, "the participant may be gone anyway: look before you retry"
	case a.Code == "participant_not_found" || a.Code == "conversation_not_found":
		return 1, "no such participant or conversation: take current ids from Genesys Cloud"
	case a.Code == "upstream_conflict":
		return 1, "Genesys Cloud refuses, and the participant is still there"
	}
	return 1, a.Detail
}

func main() {
	base, key, wait := os.Getenv("HANGUP_URL"), os.Getenv("HANGUP_KEY"), os.Getenv("HANGUP_WAIT")
	if len(os.Args) < 3 || base == "" || key == "" {
		fmt.Fprintln(os.Stderr, "usage: hangup CONVERSATION_ID PARTICIPANT_ID [REASON], with HANGUP_URL and HANGUP_KEY set")
		os.Exit(1)
	}
	reason := "user_request"
	if len(os.Args) > 3 {
		reason = os.Args[3]
	}
	if wait == "" {
		wait = "5"
	}
	answer, err := Disconnect(base, key, os.Args[1], os.Args[2], reason, wait)
	if err != nil {
		fmt.Fprintln(os.Stderr, "no answer:", err)
		os.Exit(1)
	}
	fmt.Println(string(answer.JSON))
	code, remark := answer.Verdict()
	if remark != "" {
		fmt.Fprintln(os.Stderr, remark)
	}
	os.Exit(code)
}
