//! The messages there are, by their ids (chan-sccp, Wireshark's skinny dissector).

macro_rules! messages {
    ($(#[doc = $docs:literal])+ $type:ident { $($name:ident = $id:literal => $label:literal,)+ }) => {
        $(#[doc = $docs])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $type {
            $($name,)+
        }

        impl $type {
            pub const COUNT: usize = [$(Self::$name),+].len();
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            pub const fn of_id(id: u32) -> Option<Self> {
                match id { $($id => Some(Self::$name),)+ _ => None }
            }

            pub const fn id(self) -> u32 {
                match self { $(Self::$name => $id,)+ }
            }

            /// The metric label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }
        }
    };
}

messages! {
    /// What phones send, as far as anything is made of it.
    Incoming {
        KeepAlive = 0x0000 => "keep_alive",
        Register = 0x0001 => "register",
        IpPort = 0x0002 => "ip_port",
        ForwardStatReq = 0x0009 => "forward_stat_req",
        SpeedDialStatReq = 0x000A => "speed_dial_stat_req",
        LineStatReq = 0x000B => "line_stat_req",
        ConfigStatReq = 0x000C => "config_stat_req",
        TimeDateReq = 0x000D => "time_date_req",
        ButtonTemplateReq = 0x000E => "button_template_req",
        VersionReq = 0x000F => "version_req",
        CapabilitiesRes = 0x0010 => "capabilities_res",
        MediaPortList = 0x0011 => "media_port_list",
        ServerReq = 0x0012 => "server_req",
        Alarm = 0x0020 => "alarm",
        SoftKeySetReq = 0x0025 => "soft_key_set_req",
        Unregister = 0x0027 => "unregister",
        SoftKeyTemplateReq = 0x0028 => "soft_key_template_req",
        RegisterTokenReq = 0x0029 => "register_token_req",
        HeadsetStatus = 0x002B => "headset_status",
        RegisterAvailableLines = 0x002D => "register_available_lines",
        UpdateCapabilities = 0x0030 => "update_capabilities",
        ServiceUrlStatReq = 0x0033 => "service_url_stat_req",
        FeatureStatReq = 0x0034 => "feature_stat_req",
        UpdateCapabilitiesV2 = 0x0043 => "update_capabilities_v2",
        UpdateCapabilitiesV3 = 0x0044 => "update_capabilities_v3",
        AccessoryStatus = 0x0049 => "accessory_status",
        MediaPathCapability = 0x004A => "media_path_capability",
        LocationInfo = 0x0157 => "location_info",
        ExtensionDeviceCaps = 0x0159 => "extension_device_caps",
        XmlAlarm = 0x015A => "xml_alarm",
        SpcpTokenReq = 0x8000 => "spcp_token_req",
    }
}

messages! {
    /// What we send.
    Outgoing {
        RegisterAck = 0x0081 => "register_ack",
        ForwardStat = 0x0090 => "forward_stat",
        SpeedDialStat = 0x0091 => "speed_dial_stat",
        LineStat = 0x0092 => "line_stat",
        ConfigStat = 0x0093 => "config_stat",
        DefineTimeDate = 0x0094 => "define_time_date",
        ButtonTemplate = 0x0097 => "button_template",
        Version = 0x0098 => "version",
        CapabilitiesReq = 0x009B => "capabilities_req",
        RegisterReject = 0x009D => "register_reject",
        ServerRes = 0x009E => "server_res",
        Reset = 0x009F => "reset",
        KeepAliveAck = 0x0100 => "keep_alive_ack",
        SoftKeyTemplateRes = 0x0108 => "soft_key_template_res",
        SoftKeySetRes = 0x0109 => "soft_key_set_res",
        SelectSoftKeys = 0x0110 => "select_soft_keys",
        UnregisterAck = 0x0118 => "unregister_ack",
        RegisterTokenAck = 0x011A => "register_token_ack",
        RegisterTokenReject = 0x011B => "register_token_reject",
        FeatureStat = 0x011F => "feature_stat",
        ServiceUrlStat = 0x012F => "service_url_stat",
        ConfigStatDynamic = 0x0142 => "config_stat_dynamic",
        FeatureStatDynamic = 0x0146 => "feature_stat_dynamic",
        LineStatDynamic = 0x0147 => "line_stat_dynamic",
        ServiceUrlStatDynamic = 0x0148 => "service_url_stat_dynamic",
        SpeedDialStatDynamic = 0x0149 => "speed_dial_stat_dynamic",
        SpcpTokenAck = 0x8100 => "spcp_token_ack",
        SpcpTokenReject = 0x8101 => "spcp_token_reject",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn an_id_is_one_message_of_one_direction() {
        let incoming = Incoming::ALL.iter().map(|it| (it.id(), it.as_str()));
        let outgoing = Outgoing::ALL.iter().map(|it| (it.id(), it.as_str()));
        let all: Vec<_> = incoming.chain(outgoing).collect();
        let ids: BTreeSet<_> = all.iter().map(|it| it.0).collect();
        let labels: BTreeSet<_> = all.iter().map(|it| it.1).collect();
        assert_eq!((ids.len(), labels.len()), (all.len(), all.len()));
        for (place, it) in Incoming::ALL.into_iter().enumerate() {
            assert_eq!((it as usize, Incoming::of_id(it.id())), (place, Some(it)));
            assert_eq!(Outgoing::of_id(it.id()), None);
        }
        for (place, it) in Outgoing::ALL.into_iter().enumerate() {
            assert_eq!((it as usize, Outgoing::of_id(it.id())), (place, Some(it)));
        }
    }
}
