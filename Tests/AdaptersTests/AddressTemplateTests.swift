import Adapters
import Testing

@Suite("Address templates")
struct AddressTemplateTests {
    private let addresses: [HostAddress] = [
        ("lo", "127.0.0.1/8", false), ("lo", "::1/128", false),
        ("docker0", "172.17.0.1/16", false), ("eth0", "fe80::1/64", true),
        ("eth0", "fd00::5/64", true), ("eth0", "10.1.2.5/24", true),
        ("eth1", "203.0.113.9/24", false), ("eth1", "8.8.4.4/20", false),
        ("wan0", "9.9.9.9/24", true), ("down0", "192.168.7.7/24", false),
    ].compactMap { interface, text, isRouted in
        var address = HostAddress(text, interface: interface)
        address?.isOnDefaultRoute = isRouted
        address?.isUp = interface != "down0"
        return address
    }

    @Test(arguments: [
        ("10.0.0.1:80", "10.0.0.1:80"),
        ("{{ GetPrivateIP }}:8946", "10.1.2.5:8946"), ("{{GetPrivateIP}}", "10.1.2.5"),
        ("{{- GetPrivateIP -}}:1", "10.1.2.5:1"), ("{{ GetPublicIP }}:1", "9.9.9.9:1"),
        ("{{ GetInterfaceIP \"eth0\" }}:1", "10.1.2.5:1"),
        ("{{ GetInterfaceIP `eth1` }}", "8.8.4.4"),
        ("{{ GetInterfaceIP \"^dock\" }}", "172.17.0.1"),
        ("{{ GetInterfaceIP \"lo\" }}:1", "127.0.0.1:1"),
        ("{{ GetInterfaceIPs \"docker.*\" }}", "172.17.0.1"),
        (
            "{{ GetAllInterfaces | include \"name\" \"eth0\" | include \"type\" \"ipv6\" "
                + "| include \"flags\" \"forwardable|up\" | attr \"address\" }}:1", "[fd00::5]:1"
        ),
        (
            "[{{ GetAllInterfaces | include \"network\" \"fd00::/8\" | attr \"address\" }}]:1",
            "[fd00::5]:1"
        ),
        ("{{ GetPrivateInterfaces | exclude \"type\" \"IPv6\" | attr \"name\" }}", "eth0"),
        (
            "{{ GetPrivateInterfaces | include \"rfc\" \"1918\" | sort \"-address\" | limit 1 "
                + "| join \"address\" \" \" }}", "172.17.0.1"
        ),
        ("{{ GetPublicInterfaces | sort \"size\" | attr \"address\" }}", "8.8.4.4"),
        ("{{ GetPublicInterfaces | offset 1 | attr \"address\" }}", "8.8.4.4"),
        ("{{ GetAllInterfaces | offset \"-2\" | limit 1 | attr \"address\" }}", "9.9.9.9"),
        (
            "{{ GetDefaultInterfaces | include \"size\" \"/24\" | sort \"name\" "
                + "| unique \"name\" | join \"name\" \"+\" }}", "eth0+wan0"
        ),
        (
            "{{ GetAllInterfaces | include \"address\" \"^10\\.1\" | attr \"network\" }}",
            "10.1.2.0/24"
        ),
        (
            "{{ GetPrivateInterfaces | limit 1 | math \"address\" \"+256\" | attr \"address\" }}",
            "10.1.3.5"
        ),
        (
            "{{ GetPrivateInterfaces | limit 1 | math \"network\" \"-2\" | attr \"address\" }}",
            "10.1.2.254"
        ),
        (
            "{{ GetPrivateInterfaces | limit 1 | math \"mask\" \"16\" | attr \"string\" }}",
            "10.1.0.0/16"
        ),
        ("{{ GetPrivateInterfaces | attr \"broadcast\" }}", "10.1.2.255"),
        ("{{ GetPrivateInterfaces | attr \"last_usable\" }}", "10.1.2.254"),
        (
            "{{ GetAllInterfaces | include \"flag\" \"down\" | attr \"netmask\" }}",
            "255.255.255.0"
        ),
    ])
    func `evaluation`(text: String, expected: String) throws {
        #expect(try AddressTemplate.evaluate(text, over: addresses) == expected)
    }

    @Test(arguments: [
        ("{{ GetPrivateIP :1", "the }} is missing"),
        ("{{ GetPrivateIPs }}", "finds several addresses (10.1.2.5 "),
        ("{{ GetInterfaceIP \"eth9\" }}:1", "finds no address on this machine"),
        ("{{ GetInterfaceIP }}", "takes 1 arguments, not 0"),
        ("{{ GetInterfaceIP \"(\" }}", "not a regular expression"),
        ("{{ GetInterfaceIP \"eth0 }}", "a quote is not closed"),
        ("{{ GetAllInterfaces }}", "must end with attr or join"),
        ("{{ GetPrivateIP | limit 1 }}", "can't follow a function that gives a text"),
        ("{{ limit 1 }}", "a template begins with a function such as GetPrivateIP"),
        ("{{ GetAllInterfaces | GetPrivateIP }}", "must stand at the beginning"),
        ("{{ GetNothing }}", "no template function called GetNothing"),
        ("{{ }}", "a function is missing"), ("{{ GetPrivateIP | }}", "a function is missing"),
        ("{{ range . }}", "is not understood"), ("{{ env \"X\" }}", "begins with a function"),
        ("{{ GetAllInterfaces | sort \"speed\" | attr \"name\" }}", "sort takes"),
        ("{{ GetAllInterfaces | attr \"speed\" }}", "no attribute \"speed\""),
        ("{{ GetAllInterfaces | include \"speed\" \"1\" | attr \"name\" }}", "ask for name"),
        ("{{ GetAllInterfaces | limit \"x\" | attr \"name\" }}", "limit takes a number"),
        ("{{ GetAllInterfaces | math \"address\" \"1\" | attr \"name\" }}", "with its sign"),
    ])
    func `what can't be evaluated says why`(text: String, message: String) {
        let error = #expect(throws: UsageError.self) {
            try AddressTemplate.evaluate(text, over: addresses)
        }
        #expect(error?.message.contains(message) == true, "\(error as Any)")
    }

    @Test func `this machine has a loopback address`() {
        let addresses = HostAddress.ofThisMachine()
        let loopback = addresses.first { $0.text == "127.0.0.1" }
        #expect(loopback?.prefix == 8)
        #expect(loopback?.isForwardable == false)
        #expect(loopback?.isUp == true)
    }
}
