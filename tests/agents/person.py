"""An entity with every transform that a person needs, to try translation with: `crm` has one column for a name."""

from __future__ import annotations

import yaml

from isthmus.config.mapping import EntityMapping, Mappings

TEXT = """
entity: person
family: customer
match: [[email]]
fields:
  first_name: {rule: last_writer}
  last_name: {rule: last_writer}
  email: {rule: last_writer}
  phone: {rule: last_writer}
  country: {rule: last_writer}
  state: {rule: last_writer}
  industry:
    type: option
    rule: last_writer
    values:
      banking: {salesforce: Banking, dynamics: 1}
      mining: {salesforce: Mining}
  score: {type: integer, rule: {owner: salesforce}}
  note: {rule: {owner: dynamics}}
systems:
  salesforce:
    object: Contact
    external_id: Isthmus_Id__c
    fields:
      first_name: FirstName
      last_name: LastName
      email: {column: Email, transform: email}
      phone: {column: Phone, transform: {kind: phone, country: country, region: DE}}
      country: {column: MailingCountry, transform: country}
      state: {column: MailingState, transform: {kind: state, country: country}}
      industry: {column: Industry__c, transform: picklist}
      score: {column: Score__c, direction: in}
      note: {column: Note__c, direction: out}
  dynamics:
    object: contact
    collection: contacts
    primary_key: contactid
    external_id: isthmus_id
    fields:
      first_name: {column: fullname, transform: {kind: name_part, part: first}}
      last_name: {column: fullname, transform: {kind: name_part, part: last}}
      email: {column: emailaddress1, transform: email}
      phone: {column: telephone1, transform: {kind: phone, form: international}}
      country: {column: address1_country, transform: {kind: country, form: alpha_3}}
      state: {column: address1_stateorprovince, transform: {kind: state, country: country, form: code}}
      industry: {column: industrycode, transform: picklist}
      note: description
      score: {column: isthmus_score, direction: out}
"""
PERSON = EntityMapping.model_validate(yaml.safe_load(TEXT))
PEOPLE = Mappings([PERSON])
